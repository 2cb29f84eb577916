#include "transforms/jvp.h"

#include <algorithm>

#include "base/error.h"
#include "graph/integers.h"
#include "graph/record.h"
#include "graph/trace.h"
#include "ops/elementwise.h"
#include "transforms/vjp.h"
#include "transforms/walk.h"

namespace funcnn {
namespace {

// Which nodes the derivative of the outputs passes through.
std::vector<char> on_the_way(const Walk& walk, Span outputs) {
  std::vector<char> wanted(walk.size());
  for (const Array& x : outputs)
    if (const uint32_t* slot = walk.find(x.node())) wanted[*slot] = 1;
  for (size_t i = walk.nodes.size(); i-- > 0;) {
    if (!wanted[walk.inputs + i]) continue;
    const Node& node = *walk.nodes[i];
    int limit = node.primitive->derivative_inputs();
    size_t count = limit < 0 ? node.inputs.size() : size_t(limit);
    for (size_t k = 0; k < count; ++k)
      if (const uint32_t* slot = walk.find(node.inputs[k].get())) wanted[*slot] = 1;
  }
  return wanted;
}

}  // namespace

Arrays jvp_by_transposition(const Primitive& primitive, Span inputs, Span tangents, Span outputs) {
  TraceScope scope;
  Ref<Placeholder::Trace> trace(new Placeholder::Trace(cat("the transpose of ", primitive.name())));
  Arrays stand_ins, given;
  for (const Array& x : outputs) {
    stand_ins.push_back(make_placeholder(x.shape(), x.dtype(), trace, scope.id()));
    given.push_back(has_derivative(x.dtype()) ? stand_ins.back() : Array());
  }
  SmallVector<bool, 8> needed;
  for (const Array& t : tangents) needed.push_back(bool(t));
  Arrays back = primitive.vjp({inputs, outputs, given, needed}), moved, along;
  trace->ended = true;
  for (size_t i = 0; i < back.size(); ++i) {
    if (!back[i] || !tangents[i]) continue;
    moved.push_back(back[i]);
    along.push_back(tangents[i]);
  }
  return transpose_rule({"forward mode", "cotangents", primitive.name(), {}}, stand_ins, moved, along, scope.id());
}

Arrays push_forward(Span inputs, Span outputs, Span tangents, TraceId id) {
  Walk walk = walk_between(inputs, outputs, id, false);
  std::vector<char> wanted = on_the_way(walk, outputs);
  std::vector<char> moves;
  if (IntegersMove::now()) moves = moving_values(walk, inputs);
  Arrays tangent(walk.size());
  std::vector<Arrays> shared;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (has_derivative(inputs[i].dtype())) tangent[i] = tangents[i];
  Arrays in, moving, out;
  for (size_t i = 0; i < walk.nodes.size(); ++i) {
    Node& node = *walk.nodes[i];
    size_t slot = walk.inputs + i;
    if (!wanted[slot]) continue;
    if (int index = output_index(node); index >= 0) {
      uint32_t owner = *walk.find(node.inputs[0].get());
      if (!shared.empty() && !shared[owner].empty()) tangent[slot] = shared[owner][size_t(index)];
      continue;
    }
    in.clear();
    moving.clear();
    bool any = false;
    for (const NodeRef& input : node.inputs) {
      in.emplace_back(input);
      const uint32_t* from = walk.find(input.get());
      moving.push_back(from ? tangent[*from] : Array());
      any |= bool(moving.back());
    }
    if (IntegersMove::now()) {
      SmallVector<bool, 8> through;
      for (const NodeRef& input : node.inputs) {
        const uint32_t* from = walk.find(input.get());
        through.push_back(from && moves[*from]);
      }
      check_indices(*node.primitive, through, "jvp");
    }
    if (!any || (!node.multi() && !has_derivative(node.dtype))) continue;
    out.clear();
    NodeRef self(&node);
    if (node.multi())
      for (size_t k = 0; k < node.outputs->size(); ++k) out.push_back(make_output(self, int(k)));
    else
      out.emplace_back(self);
    OriginScope origin(node, OriginScope::Rule::derivative);
    std::optional<Arrays> rule = node.primitive->jvp(in, moving, out);
    Arrays to = rule ? std::move(*rule) : jvp_by_transposition(*node.primitive, in, moving, out);
    for (size_t k = 0; k < to.size(); ++k) {
      if (!to[k]) continue;
      if (!has_derivative(out[k].dtype())) {
        to[k] = {};
        continue;
      }
      if (IntegersMove::now() && to[k].dtype() != out[k].dtype()) to[k] = astype(to[k], out[k].dtype());
      if (to[k].shape() != out[k].shape() || to[k].dtype() != out[k].dtype())
        throw Error(cat("the jvp rule of ", node.primitive->name(), " gave a tangent of shape ", to[k].shape(),
                        " and dtype ", to[k].dtype(), " for an output of shape ", out[k].shape(), " and dtype ",
                        out[k].dtype()));
    }
    if (node.multi()) {
      if (shared.empty()) shared.resize(walk.size());
      shared[slot] = std::move(to);
    } else {
      tangent[slot] = std::move(to[0]);
    }
  }
  Arrays result;
  result.reserve(outputs.size());
  for (const Array& x : outputs) {
    const uint32_t* slot = walk.find(x.node());
    result.push_back(slot ? tangent[*slot] : Array());
  }
  return result;
}

Graph jvp_graph(const Graph& graph, const std::vector<bool>& moving, std::vector<bool>& moved) {
  Graph made = graph;
  TraceId id = graph_trace(graph);
  TraceScope scope;
  Ref<Placeholder::Trace> trace(new Placeholder::Trace("the derivative of a graph"));
  Arrays tangents;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    tangents.emplace_back();
    if (!moving[i]) continue;
    const Array& x = graph.inputs[i];
    made.inputs.push_back(make_placeholder(x.shape(), x.dtype(), trace, id));
    tangents.back() = made.inputs.back();
  }
  moved.clear();
  for (Array& t : push_forward(graph.inputs, graph.outputs, tangents, id)) {
    moved.push_back(bool(t));
    if (t) made.outputs.push_back(std::move(t));
  }
  return made;
}

}  // namespace funcnn
