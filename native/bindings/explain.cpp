// fn.explain, fn.to_dot and fn.eval_shape: what a function is traced to and how it will run.
#include <nanobind/stl/string.h>

#include "bindings/gil.h"
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

// `function(arrays)` of arrays that are not there.
Traced trace_shapes(nb::handle function, nb::handle shapes, nb::handle dtypes) {
  std::vector<Argument> arguments;
  for (size_t i = 0, n = nb::len(shapes); i < n; ++i)
    arguments.push_back({Aval{shape_of(nb::object(shapes[i]), "eval_shape"), dtype_of(nb::object(dtypes[i]))}});
  return trace_abstract(arguments, "eval_shape", [&](Span placeholders) {
    nb::list arrays;
    for (const Array& x : placeholders) arrays.append(wrap_object(x));
    return nb::object(function(arrays));
  });
}

// `make(shape, dtype)` of each output, in the structure of the result of `function(arrays)`.
nb::object shapes_of_outputs(nb::handle function, nb::handle shapes, nb::handle dtypes, nb::handle make) {
  Traced traced = trace_shapes(function, shapes, dtypes);
  pytree::Leaves made;
  // Effects are ordered by an output more.
  for (const Array& x : Span(traced.graph.outputs).first(traced.outputs.num_leaves()))
    made.push_back(make(shape_tuple(x.shape()), x.dtype()));
  return pytree::unflatten(traced.outputs, made);
}

}  // namespace

void bind_explain(nb::module_& m) {
  m.def(
      "_explain",
      [](nb::handle function, nb::tuple args, nb::dict kwargs) {
        Traced traced = trace_call(function, args, kwargs, "explain");
        std::string listing = list_graph(traced.graph);
        CompiledGraph compiled(std::move(traced.graph));
        PlanSummary plan = [&] {
          Unlocked unlocked;
          return compiled.describe();
        }();
        nb::list seams;
        for (const Plan::Meeting& m : plan.meetings)
          seams.append(nb::make_tuple(m.before, m.after, m.value, std::string(text_of(m.why))));
        return nb::make_tuple(listing, plan.text, plan.peak_bytes, plan.live_bytes, seams);
      },
      nb::sig("def _explain(function: object, args: tuple[object, ...], kwargs: dict[str, object]) -> tuple[str, str, "
              "int, int, list[tuple[int, int, str, str]]]"));
  m.def(
      "_to_dot",
      [](nb::handle function, nb::tuple args, nb::dict kwargs) {
        return graph_to_dot(trace_call(function, args, kwargs, "to_dot").graph);
      },
      nb::sig("def _to_dot(function: object, args: tuple[object, ...], kwargs: dict[str, object]) -> str"));
  m.def("_eval_shape", &shapes_of_outputs,
        nb::sig("def _eval_shape(function: object, shapes: object, dtypes: object, make: object) -> Any"));
  m.def(
      "_effort",
      [](nb::handle function, nb::handle shapes, nb::handle dtypes) {
        CompiledGraph compiled(std::move(trace_shapes(function, shapes, dtypes).graph));
        Effort effort = [&] {
          Unlocked unlocked;
          return compiled.describe().effort;
        }();
        return nb::make_tuple(effort.flops, effort.bytes);
      },
      nb::sig("def _effort(function: object, shapes: object, dtypes: object) -> tuple[float, float]"));
}

}  // namespace funcnn
