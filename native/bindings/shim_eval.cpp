// Evaluation as MLX has it: trees are lists, tuples and dicts, modules among them, and the frozen dicts of the
// functional API; whatever else they hold is left alone.
#include <vector>

#include "bindings/array.h"
#include "bindings/containers.h"
#include "bindings/gil.h"
#include "bindings/shim.h"
#include "graph/trace.h"
#include "plan/eval.h"
#include "pytree/frozendict.h"

namespace funcnn {
namespace {

// Arrays that are not there yet. Holds what it walks: other threads may run while the random state is looked up.
void collect(nb::object tree, const char* name, Arrays& found) {
  if (containers::is_stand_in(tree.ptr())) tree = containers::opened(tree);
  PyObject* o = tree.ptr();
  if (is_array(o)) {
    const Array& x = array_of(o);
    const Node& node = *x.node();
    if (node.abstract) throw_traced_value(node, name);
    if (!node.available() || node.storage.ready) found.push_back(x);
    return;
  }
  if (pytree::is_frozendict(o)) o = pytree::frozendict_dict(o);
  bool list = PyList_Check(o), tuple = PyTuple_Check(o), dict = PyDict_Check(o);
  if (!list && !tuple && !dict) return;
  pytree::RecursionGuard guard;
  if (list) {
    for (Py_ssize_t i = 0; i < PyList_Size(o); ++i) collect(nb::borrow(PyList_GetItem(o, i)), name, found);
  } else if (tuple) {
    for (Py_ssize_t i = 0; i < PyTuple_Size(o); ++i) collect(nb::borrow(PyTuple_GetItem(o, i)), name, found);
  } else {
    PyObject *key, *value;
    for (Py_ssize_t at = 0; PyDict_Next(o, &at, &key, &value);) collect(nb::borrow(value), name, found);
  }
}

Arrays arrays_in(nb::args trees, const char* name) {
  Arrays found;
  for (nb::handle tree : trees) collect(nb::borrow(tree), name, found);
  return found;
}

}  // namespace

void bind_shim_eval(nb::module_& m) {
  m.def("eval", [](nb::args trees) {
    Arrays arrays = arrays_in(trees, "eval");
    if (arrays.empty()) return;
    Unlocked unlocked;
    eval(arrays);
    wait(arrays);
  });
  m.def("async_eval", [](nb::args trees) {
    Arrays arrays = arrays_in(trees, "async_eval");
    if (arrays.empty()) return;
    Unlocked unlocked;
    async_eval(arrays);
  });
}

}  // namespace funcnn
