// Evaluation as MLX has it: trees are lists, tuples and dicts, modules among them.
#include <vector>

#include "bindings/array.h"
#include "bindings/containers.h"
#include "bindings/gil.h"
#include "bindings/shim.h"
#include "graph/trace.h"
#include "plan/eval.h"

namespace funcnn {
namespace {

Arrays arrays_in(nb::args trees, const char* name) {
  containers::Outline outline;
  containers::Leaves objects;
  for (nb::handle tree : trees) containers::take_apart(tree, containers::Others::ignore, name, outline, objects);
  Arrays found;
  found.reserve(objects.size());
  for (const nb::object& object : objects) {
    const Array& x = array_of(object.ptr());
    if (x.node()->abstract) throw_traced_value(*x.node(), name);
    found.push_back(x);
  }
  return found;
}

}  // namespace

void bind_shim_eval(nb::module_& m) {
  m.def("eval", [](nb::args trees) {
    Arrays arrays = arrays_in(trees, "eval");
    Unlocked unlocked;
    eval(arrays);
  });
  m.def("async_eval", [](nb::args trees) {
    Arrays arrays = arrays_in(trees, "async_eval");
    Unlocked unlocked;
    async_eval(arrays);
  });
}

}  // namespace funcnn
