// Graphs for other shapes.
#include <algorithm>

#include "graph/primitive.h"
#include "ops/annotate.h"
#include "ops/dot.h"
#include "ops/elementwise.h"
#include "ops/join.h"
#include "ops/reduce.h"
#include "ops/views.h"
#include "transforms/written.h"
#include "transforms/written_operations.h"

namespace funcnn {

std::optional<Arrays> resized(const Graph& graph, Span inputs) {
  constexpr std::string_view along_axes[] = {"sort",    "argsort", "argmax", "argmin",      "cumsum",
                                             "cumprod", "cummax",  "cummin", "logcumsumexp"};
  NodeMap<Array> map(64);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Shape &from = graph.inputs[i].shape(), &to = inputs[i].shape();
    if (from.size() != to.size()) return std::nullopt;
    // Operations may have taken short cuts for axes with one element or none.
    for (size_t k = 0; k < from.size(); ++k)
      if (from[k] != to[k] && (from[k] <= 1 || to[k] <= 1)) return std::nullopt;
    map[graph.inputs[i].node()] = inputs[i];
  }
  auto order = topological_order(graph.outputs, [](Node&) { return true; });
  bool numbers = false, sizes = false;
  auto elementwise_node = [](const Node& n) { return n.primitive->kind() == Kind::elementwise; };
  for (Node* n : order) {
    if (map.contains(n)) continue;
    if (!n->primitive || n->available()) {
      if (!n->is_scalar()) return std::nullopt;
      numbers = true;
    } else if (!elementwise_node(*n) && n->primitive->kind() != Kind::alias) {
      sizes = true;
    }
  }
  // A number may be a size that an operation over axes was given.
  if (numbers && sizes) return std::nullopt;
  Arrays in;
  for (Node* n : order) {
    if (map.contains(n)) continue;
    if (!n->primitive || n->available()) {
      map[n] = Array(NodeRef(n));
      continue;
    }
    in.clear();
    for (const NodeRef& input : n->inputs) {
      const Array* made = map.find(input.get());
      if (!made) return std::nullopt;
      in.push_back(*made);
    }
    const Primitive& p = *n->primitive;
    std::string_view name = p.name();
    Array out;
    if (elementwise_node(*n)) {
      out = name == "astype" ? astype(in[0], n->dtype) : elementwise(p.opcode(), in, n->dtype);
    } else if (p.kind() == Kind::reduce) {
      out = reduce(p.reduce_op(), in[0], p.reduce_axes(), false);
    } else if (name == "reshape" && n->inputs[0]->primitive && n->inputs[0]->primitive->kind() == Kind::reduce) {
      // What a reduction that keeps its axes does.
      const Node& source = *n->inputs[0];
      Shape before = source.inputs[0]->shape, after = map.find(source.inputs[0].get())->shape();
      for (int axis : source.primitive->reduce_axes()) before[size_t(axis)] = after[size_t(axis)] = 1;
      if (before != n->shape) return std::nullopt;
      out = reshape(in[0], after);
    } else if (name == "identity" || name == "checkpoint_name") {
      out = in[0];
    } else if (name == "stop_gradient") {
      out = stop_gradient(in[0]);
    } else if (name == "transpose") {
      out = transpose(in[0], Parameters(p.parameters()).list("axes"));
    } else if (name == "concatenate") {
      out = concatenate(in, static_cast<const Concatenate&>(p).axis());
    } else if (name == "dot") {
      if (in[0].dim(-1) != in[1].dim(-2)) return std::nullopt;
      out = dot(in[0], in[1]);
    } else if (std::find(std::begin(along_axes), std::end(along_axes), name) != std::end(along_axes)) {
      Shape shape = in[0].shape();
      if (name.starts_with("arg") && name != "argsort") {
        int axis = int(Parameters(p.parameters()).integer("axis"));
        if (shape[size_t(axis)] == 0) return std::nullopt;
        shape.erase(shape.begin() + axis);
      }
      out = make_node(n->primitive, in, shape, n->dtype);
    } else {
      return std::nullopt;
    }
    if (out.ndim() != n->shape.size() || out.dtype() != n->dtype) return std::nullopt;
    map[n] = out;
  }
  Arrays outputs;
  for (const Array& x : graph.outputs) outputs.push_back(*map.find(x.node()));
  return outputs;
}

}  // namespace funcnn
