#include "transforms/walk.h"

#include <algorithm>

#include "graph/integers.h"
#include "ops/rules.h"

namespace funcnn {
Walk walk_between(Span inputs, Span outputs, TraceId id, bool abstract) {
  Walk walk;
  for (const Array& input : inputs) {
    bool fresh;
    uint32_t& slot = walk.slots.insert(input.node(), fresh);
    if (fresh) slot = uint32_t(walk.inputs);
    ++walk.inputs;
  }
  walk.nodes = topological_order(
      outputs, [&](Node& n) { return n.trace >= id && (!abstract || n.abstract) && !walk.slots.contains(&n); });
  // Creation order is a topological order too, and the one in which plans schedule: derivatives are then created in
  // its exact reverse.
  auto older = [](const Node* a, const Node* b) { return a->sequence < b->sequence; };
  if (!std::is_sorted(walk.nodes.begin(), walk.nodes.end(), older))
    std::sort(walk.nodes.begin(), walk.nodes.end(), older);
  size_t kept = 0;
  for (Node* node : walk.nodes) {
    bool depends = std::any_of(node->inputs.begin(), node->inputs.end(),
                               [&](const NodeRef& input) { return walk.slots.contains(input.get()); });
    if (!depends) continue;
    walk.slots[node] = uint32_t(walk.inputs + kept);
    walk.nodes[kept++] = node;
  }
  walk.nodes.resize(kept);
  return walk;
}

std::vector<char> moving_values(const Walk& walk, Span inputs) {
  std::vector<char> moving(walk.size());
  for (const Array& x : inputs)
    if (has_derivative(x.dtype())) moving[*walk.find(x.node())] = 1;
  for (size_t i = 0; i < walk.nodes.size(); ++i) {
    const Node& node = *walk.nodes[i];
    if (!node.multi() && !has_derivative(node.dtype)) continue;
    int limit = node.primitive->derivative_inputs();
    size_t count = limit < 0 ? node.inputs.size() : size_t(limit);
    for (size_t k = 0; k < count; ++k)
      if (const uint32_t* slot = walk.find(node.inputs[k].get()); slot && moving[*slot]) moving[walk.inputs + i] = 1;
  }
  return moving;
}

std::vector<bool> moving_outputs(const Graph& graph, const std::vector<bool>& moving) {
  Arrays inputs;
  for (size_t i = 0; i < graph.inputs.size(); ++i)
    if (moving[i]) inputs.push_back(graph.inputs[i]);
  std::vector<bool> found(graph.outputs.size());
  if (inputs.empty()) return found;
  Walk walk = walk_between(inputs, graph.outputs, graph_trace(graph), true);
  std::vector<char> values = moving_values(walk, inputs);
  for (size_t i = 0; i < found.size(); ++i)
    if (const uint32_t* slot = walk.find(graph.outputs[i].node())) found[i] = values[*slot];
  return found;
}

TraceId graph_trace(const Graph& graph) { return graph.inputs.empty() ? 0 : graph.inputs[0].node()->trace; }

Arrays forget(Span stand_ins, Arrays results, TraceId id) {
  if (walk_between(stand_ins, results, id, true).nodes.empty()) return results;
  Graph graph{Arrays(stand_ins.begin(), stand_ins.end()), {}};
  for (const Array& x : results)
    if (x) graph.outputs.push_back(x);
  Arrays zeros;
  for (const Array& x : stand_ins) zeros.push_back(zeros_like(x));
  Arrays replaced = substitute(graph, zeros);
  size_t next = 0;
  for (Array& x : results)
    if (x) x = replaced[next++];
  return results;
}

Array or_zeros(const Array& x, const Aval& aval) { return x ? x : full(aval.shape, constant(0, aval.dtype)); }

}  // namespace funcnn
