// What fn.debug.nan_origin sees of the operations that a function consists of.
#include "graph/record.h"

#include <nanobind/stl/string.h>

#include <memory>
#include <string>

#include "bindings/array.h"
#include "bindings/trace.h"
#include "graph/control.h"
#include "graph/trace.h"

namespace funcnn {
namespace {

// The record of what has computed a value: of an output, that of the operation with several.
const Record* operation(const Recording& recording, const Array& x) {
  const Record* found = recording.find(x.node());
  return found && x.node()->output >= 0 ? recording.find(found->inputs[0].get()) : found;
}

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::alias:
      return "alias";
    case Kind::view:
      return "view";
    case Kind::control:
      return "control";
    case Kind::elementwise:
      return "elementwise";
    default:
      return "operation";
  }
}

nb::object inputs_of(const Record& record) {
  Arrays inputs;
  for (const NodeRef& input : record.inputs) inputs.emplace_back(input);
  return tuple_of(inputs);
}

// (number, name, parameters, kind, place, what it is the derivative of, inputs); None of data.
nb::object describe(const Recording& recording, nb::handle object) {
  Array x = array_of(object.ptr());
  const Record* found = operation(recording, x);
  if (!found) return nb::none();
  // Of an operation that repeats inputs, the one that is repeated.
  nb::object inputs = inputs_of(*found);
  if (found->primitive->kind() == Kind::alias && !found->inputs.empty()) {
    int which = found->primitive->alias_of(std::max<int>(x.node()->output, 0));
    inputs = tuple_of({Array(found->inputs[size_t(which)])});
  }
  return nb::make_tuple(found->node->sequence, std::string(found->primitive->name()), found->primitive->parameters(),
                        name_of(found->primitive->kind()), found->place, std::string(found->derivative_of), inputs);
}

// (form, carries, sequences, length, reverse, inputs, which output) of what runs graphs; None of others.
nb::object control_of(const Recording& recording, nb::handle object) {
  Array x = array_of(object.ptr());
  const Record* found = operation(recording, x);
  const Control* control = found ? found->primitive->control() : nullptr;
  if (!control) return nb::none();
  const char* form = control->form == Control::Form::scan   ? "scan"
                     : control->form == Control::Form::cond ? "cond"
                                                            : "while_loop";
  return nb::make_tuple(form, control->carries, control->sequences, control->length, control->reverse,
                        inputs_of(*found), int(x.node()->output));
}

// The outputs of one of the graphs it runs, for other arguments.
nb::tuple run(const Recording& recording, nb::handle object, size_t graph, nb::handle arguments) {
  const Record* found = operation(recording, array_of(object.ptr()));
  return tuple_of(substitute(*found->primitive->graphs()[graph], arrays_of(arguments, "_Recording.run")));
}

}  // namespace

void bind_record(nb::module_& m) {
  nb::class_<Recording>(m, "_Recording", "What operations the nodes that are made on this thread come from.")
      .def(
          "__init__",
          [](Recording* self, nb::object where) {
            new (self) Recording([where] { return nb::cast<int64_t>(where()); });
          },
          nb::arg("where"))
      .def("start", &Recording::start)
      .def("stop", &Recording::stop)
      .def("describe", &describe,
           nb::sig("def describe(self, x: array) -> tuple[int, str, str, str, int, str, "
                   "tuple[array, ...]] | None"))
      .def("control", &control_of,
           nb::sig("def control(self, x: array) -> tuple[str, int, int, int, bool, tuple[array, ...], int] | None"))
      .def("run", &run, nb::sig("def run(self, x: array, graph: int, arguments: Sequence[array]) -> tuple[array, ...]"))
      .def(
          "key", [](const Recording&, nb::handle x) { return array_of(x.ptr()).node()->sequence; },
          nb::sig("def key(self, x: array) -> int"));
}

}  // namespace funcnn
