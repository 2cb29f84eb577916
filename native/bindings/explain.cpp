// fn.explain and fn.to_dot: what a function is traced to and how it will run.
#include <nanobind/stl/string.h>

#include "bindings/interpreter.h"
#include "bindings/trace.h"
#include "graph/listing.h"
#include "plan/compiled_graph.h"
#include "plan/eval.h"

namespace funcnn {
namespace {

Traced trace_call(nb::handle function, nb::tuple args, nb::dict kwargs, const char* name) {
  pytree::Leaves leaves;
  nb::object both = nb::make_tuple(args, kwargs);
  pytree::TreeDef tree = pytree::flatten(both, leaves);
  Arrays arrays = arrays_of_leaves(leaves, tree, name, "; bind it with functools.partial");
  return trace_abstract(arguments_of(arrays), name, [&](Span placeholders) {
    nb::object made = unflatten_arrays(tree, placeholders);
    return nb::object(function(*nb::borrow<nb::tuple>(made[0]), **nb::borrow<nb::dict>(made[1])));
  });
}

}  // namespace

void bind_explain(nb::module_& m) {
  m.def(
      "_explain",
      [](nb::handle function, nb::tuple args, nb::dict kwargs) {
        Traced traced = trace_call(function, args, kwargs, "explain");
        std::string listing = list_graph(traced.graph);
        CompiledGraph compiled(std::move(traced.graph));
        auto [text, bytes] = [&] {
          Unlocked unlocked;
          return compiled.describe();
        }();
        return nb::make_tuple(listing, text, bytes);
      },
      nb::sig("def _explain(function: object, args: tuple[object, ...], kwargs: dict[str, object]) -> tuple[str, str, "
              "int]"));
  m.def(
      "_to_dot",
      [](nb::handle function, nb::tuple args, nb::dict kwargs) {
        return graph_to_dot(trace_call(function, args, kwargs, "to_dot").graph);
      },
      nb::sig("def _to_dot(function: object, args: tuple[object, ...], kwargs: dict[str, object]) -> str"));
}

}  // namespace funcnn
