#include "bindings/trace.h"

#include "base/error.h"

namespace funcnn {

Arrays arrays_of_leaves(const pytree::Leaves& leaves, const pytree::TreeDef& tree, const char* name,
                        const char* advice) {
  Arrays arrays;
  arrays.reserve(leaves.size());
  for (size_t i = 0; i < leaves.size(); ++i) {
    PyObject* leaf = leaves[i].ptr();
    if (is_array(leaf)) {
      arrays.push_back(array_of(leaf));
      continue;
    }
    Array scalar;
    if (convert_scalar(leaf, {}, scalar)) {
      arrays.push_back(scalar);
    } else if (nb::hasattr(leaves[i], "__array__")) {
      arrays.push_back(as_array(leaves[i], name));
    } else {
      std::string path = tree.path_of_leaf(i);
      throw TypeError(cat(name, ": ", path.empty() ? "the value" : "the leaf at " + path, " is a ",
                          nb::cast<std::string>(leaves[i].type().attr("__name__")), ", not an array", advice));
    }
  }
  return arrays;
}

nb::object unflatten_arrays(const pytree::TreeDef& tree, Span arrays) {
  pytree::Leaves leaves;
  leaves.reserve(arrays.size());
  for (const Array& a : arrays) leaves.push_back(wrap_object(a));
  return pytree::unflatten(tree, leaves);
}

Traced finish_trace(Span placeholders, nb::handle result, uint8_t level, Ref<Placeholder::Trace> trace) {
  Traced traced;
  pytree::Leaves leaves;
  traced.outputs = pytree::flatten(result, leaves);
  Arrays outputs = arrays_of_leaves(leaves, traced.outputs, trace->what.c_str(), "; return arrays only");
  traced.graph = close_graph(placeholders, outputs, level, traced.captured, trace);
  return traced;
}

}  // namespace funcnn
