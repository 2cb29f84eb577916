#include "bindings/trace.h"

#include <algorithm>

#include "base/error.h"
#include "bindings/advice.h"
#include "bindings/gil.h"
#include "plan/eval.h"

namespace funcnn {

FunctionTrace::~FunctionTrace() {
  scope_.reset();
  std::vector<NodeRef> computed = take_kept();
  if (computed.empty()) return;
  std::vector<Node*> nodes;
  for (const NodeRef& node : computed) nodes.push_back(node.get());
  Unlocked unlocked;
  cut_past(nodes);
}

Argument argument_of(const Array& x) { return {x.aval(), x.node()->weak, x.node()->rebindable}; }

std::vector<Argument> arguments_of(Span arrays) {
  std::vector<Argument> arguments;
  for (const Array& x : arrays) arguments.push_back(argument_of(x));
  return arguments;
}

bool weak_array(nb::handle object, Array& out) {
  if (PyFloat_Check(object.ptr())) {  // learning rates: no constant to look up
    auto value = float(PyFloat_AsDouble(object.ptr()));
    out = scalar_array(&value, Dtype::float32);
  } else if (!convert_scalar(object.ptr(), {}, out)) {
    return false;
  }
  out = with_weakness(std::move(out), true);
  return true;
}

Arrays arrays_of_leaves(const pytree::Leaves& leaves, const pytree::TreeDef& tree, const char* name,
                        const char* advice) {
  Arrays arrays;
  arrays.reserve(leaves.size());
  for (size_t i = 0; i < leaves.size(); ++i) arrays.push_back(array_of_leaf(leaves, i, tree, name, advice));
  return arrays;
}

Array array_of_leaf(const pytree::Leaves& leaves, size_t i, const pytree::TreeDef& tree, const char* name,
                    const char* advice) {
  PyObject* leaf = leaves[i].ptr();
  if (is_array(leaf)) return array_of(leaf);
  Array scalar;
  if (weak_array(leaf, scalar)) return scalar;
  if (nb::hasattr(leaves[i], "__array__")) return as_array(leaves[i], name);
  std::string path = tree.path_of_leaf(i);
  auto type = nb::cast<std::string>(leaves[i].type().attr("__name__"));
  const bool vowel = std::string_view("aeiouAEIOU").find(type[0]) != std::string_view::npos;
  throw TypeError(cat(name, ": ", path.empty() ? "the value" : "the leaf at " + path, vowel ? " is an " : " is a ",
                      type, ", not an array", advice, container_advice(leaves[i])));
}

nb::object unflatten_arrays(const pytree::TreeDef& tree, Span arrays) {
  return unflatten_arrays(tree, Arrays(arrays.begin(), arrays.end()));
}

nb::object unflatten_arrays(const pytree::TreeDef& tree, Arrays&& arrays) {
  pytree::Leaves leaves;
  leaves.reserve(arrays.size());
  for (Array& a : arrays) leaves.push_back(wrap_object(std::move(a)));
  return pytree::unflatten(tree, std::move(leaves));
}

Arrays arrays_of_result(nb::handle result, const std::string& what, pytree::TreeDef& tree) {
  pytree::Leaves leaves;
  tree = pytree::flatten(result, leaves);
  return arrays_of_leaves(leaves, tree, what.c_str(), "; return arrays only");
}

Traced finish_trace(Span placeholders, Arrays outputs, EffectScope& effects, NumbersMet& numbers, TraceId id,
                    const std::string& what, uint64_t since) {
  Traced traced;
  for (const Array& x : outputs) {
    traced.weak.push_back(x.node()->weak);
    traced.rebindable.push_back(x.node()->rebindable);
  }
  Arrays inputs(placeholders.begin(), placeholders.end());
  if (Array token = effects.end()) {
    traced.effects = true;
    // Tokens of loops are stacked.
    if (token.ndim() > 0) token = after_effects(constant(int64_t(0), Dtype::bool_), token);
    inputs.push_back(effects.first());
    outputs.push_back(mark_effects(token));
  }
  traced.ranges = numbers.take(placeholders, id, new Placeholder::Trace(what));
  // A trace of its own: the placeholders of the call end with it, those of the graph do not.
  traced.graph = close_graph(inputs, outputs, id, traced.captured, new Placeholder::Trace(what), since);
  if (traced.effects) {
    auto place = traced.graph.inputs.begin() + ptrdiff_t(placeholders.size());
    std::rotate(place, place + 1, traced.graph.inputs.end());
  }
  return traced;
}

}  // namespace funcnn
