#include "transforms/walk.h"

#include <algorithm>

#include "graph/control.h"
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

namespace {

bool can_move(Dtype dtype, Follow follow) { return follow == Follow::value || has_derivative(dtype); }

// Which outputs of a primitive that runs graphs move with the inputs marked in `moving`.
std::vector<bool> moving_results(const Primitive& primitive, std::vector<bool> moving, Follow follow) {
  const Control& control = *primitive.control();
  std::vector<const Graph*> graphs = primitive.graphs();
  if (control.form != Control::Form::cond) {
    std::vector<bool> moved = moving_after_steps(*graphs.back(), moving, size_t(control.carries), follow);
    // How many steps there are is in every carry.
    if (follow == Follow::value && control.form == Control::Form::while_loop &&
        std::ranges::count(moving_outputs(*graphs[0], moving, follow), true))
      moved.assign(moved.size(), true);
    return moved;
  }
  const bool chosen = follow == Follow::value && moving[0];
  moving.erase(moving.begin());
  std::vector<bool> moved = moving_outputs(*graphs[0], moving, follow),
                    other = moving_outputs(*graphs[1], moving, follow);
  for (size_t i = 0; i < moved.size(); ++i) moved[i] = chosen || moved[i] || other[i];
  return moved;
}

}  // namespace

std::vector<char> moving_values(const Walk& walk, Span inputs, Follow follow) {
  std::vector<char> moving(walk.size());
  for (const Array& x : inputs)
    if (can_move(x.dtype(), follow)) moving[*walk.find(x.node())] = 1;
  auto moves = [&](const NodeRef& input) {
    const uint32_t* slot = walk.find(input.get());
    return slot && moving[*slot];
  };
  NodeMap<std::vector<bool>> results;  // of control flow
  for (size_t i = 0; i < walk.nodes.size(); ++i) {
    const Node& node = *walk.nodes[i];
    if (!node.multi() && !can_move(node.dtype, follow)) continue;
    if (int index = output_index(node); index >= 0) {
      const std::vector<bool>* known = results.find(node.inputs[0].get());
      moving[walk.inputs + i] = moves(node.inputs[0]) && (!known || (*known)[size_t(index)]);
      continue;
    }
    int limit = node.primitive->derivative_inputs();
    auto end = limit < 0 ? node.inputs.end() : node.inputs.begin() + limit;
    if (std::none_of(node.inputs.begin(), end, moves)) continue;
    moving[walk.inputs + i] = 1;
    if (!node.primitive->control()) continue;
    std::vector<bool> given;
    for (const NodeRef& input : node.inputs) given.push_back(moves(input));
    results[&node] = moving_results(*node.primitive, std::move(given), follow);
  }
  return moving;
}

std::vector<bool> moving_outputs(const Graph& graph, const std::vector<bool>& moving, Follow follow) {
  Arrays inputs;
  for (size_t i = 0; i < graph.inputs.size(); ++i)
    if (moving[i]) inputs.push_back(graph.inputs[i]);
  std::vector<bool> found(graph.outputs.size());
  if (inputs.empty()) return found;
  Walk walk = walk_between(inputs, graph.outputs, graph_trace(graph), true);
  std::vector<char> values = moving_values(walk, inputs, follow);
  for (size_t i = 0; i < found.size(); ++i)
    if (const uint32_t* slot = walk.find(graph.outputs[i].node())) found[i] = values[*slot];
  return found;
}

std::vector<bool> moving_after_steps(const Graph& body, std::vector<bool>& moving, size_t carries, Follow follow) {
  for (;;) {
    std::vector<bool> moved = moving_outputs(body, moving, follow);
    bool settled = true;
    for (size_t i = 0; i < carries; ++i) {
      settled = settled && (moving[i] || !moved[i]);
      moved[i] = moving[i] = moving[i] || moved[i];
    }
    if (settled) return moved;
  }
}

TraceId graph_trace(const Graph& graph) { return graph.inputs.empty() ? 0 : graph.inputs[0].node()->trace; }

Array or_zeros(const Array& x, const Aval& aval) { return x ? x : full(aval.shape, constant(0, aval.dtype)); }

}  // namespace funcnn
