#include "transforms/walk.h"

#include <algorithm>
#include <utility>

#include "ops/rules.h"

namespace funcnn {
namespace {

thread_local std::vector<NodeRef> computed_in_trace;

}  // namespace

std::vector<NodeRef> take_computed_in_trace() { return std::exchange(computed_in_trace, {}); }

Walk walk_between(Span inputs, Span outputs, uint8_t level, bool abstract) {
  Walk walk;
  for (const Array& input : inputs) {
    bool fresh;
    uint32_t& slot = walk.slots.insert(input.node(), fresh);
    if (fresh) slot = uint32_t(walk.inputs);
    ++walk.inputs;
  }
  walk.nodes = topological_order(
      outputs, [&](Node& n) { return n.level >= level && (!abstract || n.abstract) && !walk.slots.contains(&n); });
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
    if (node->available()) computed_in_trace.emplace_back(node);
  }
  walk.nodes.resize(kept);
  return walk;
}

uint8_t graph_level(const Graph& graph) { return graph.inputs.empty() ? 0 : graph.inputs[0].node()->level; }

Arrays forget(Span stand_ins, Arrays results, uint8_t level) {
  if (walk_between(stand_ins, results, level, true).nodes.empty()) return results;
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
