// fn.pure_callback and fn.debug: Python functions called where a graph is evaluated. See funcnn._callback.
#include "ops/callback.h"

#include <nanobind/stl/string.h>

#include <algorithm>
#include <cstring>

#include "bindings/effects.h"
#include "bindings/interchange.h"
#include "bindings/trace.h"
#include "bindings/transforms.h"
#include "plan/eval.h"

namespace funcnn {
namespace {

// `function` takes a list of arrays and returns one, of the shapes and dtypes that the graph expects.
std::shared_ptr<const HostFunction> host_function(nb::handle function) {
  std::shared_ptr<nb::object> held = keep_python(new nb::object(nb::borrow(function)));
  return std::make_shared<const HostFunction>(
      [held](std::span<const HostOperand> inputs, std::span<const HostOperand> outputs) {
        nb::gil_scoped_acquire locked;
        nb::list given;
        for (const HostOperand& x : inputs) {
          Array copy = empty_array(x.shape, x.dtype);
          std::memcpy(fresh_elements(copy), x.data, copy.nbytes());
          given.append(wrap_object(std::move(copy)));
        }
        nb::object results = (*held)(given);
        for (size_t i = 0; i < outputs.size(); ++i) {
          nb::object result = nb::borrow(results[i]);
          evaluate(array_of(result.ptr()), "callback");
          copy_elements(array_of(result.ptr()), outputs[i].data);
        }
      });
}

bool concrete(Span arrays) { return std::none_of(arrays.begin(), arrays.end(), is_traced); }

nb::object run_pure(nb::handle function, nb::list given, nb::list shapes, nb::list dtypes, const std::string& method) {
  Arrays inputs = arrays_of(given, "pure_callback");
  if (concrete(inputs)) {
    {
      Unlocked unlocked;
      eval(inputs);
    }
    return function(given);
  }
  std::vector<Aval> avals;
  for (size_t i = 0; i < shapes.size(); ++i)
    avals.push_back({shape_of(shapes[i], "pure_callback"), dtype_of(dtypes[i])});
  if (avals.empty()) return nb::list();
  VmapMethod how = method == "sequential"      ? VmapMethod::sequential
                   : method == "expand_dims"   ? VmapMethod::expand_dims
                   : method == "broadcast_all" ? VmapMethod::broadcast_all
                                               : VmapMethod::refuse;
  nb::list made;
  for (Array& x : pure_callback(host_function(function), inputs, std::move(avals), how)) made.append(wrap_object(x));
  return made;
}

void run_debug(nb::handle function, nb::list given) {
  Arrays inputs = arrays_of(given, "debug");
  bool abstract = std::any_of(inputs.begin(), inputs.end(), [](const Array& x) { return x.node()->abstract; });
  if (!abstract && !EffectScope::open()) {
    {
      Unlocked unlocked;
      eval(inputs);
    }
    function(given);
    return;
  }
  EffectScope::advance(debug_callback(host_function(function), inputs, EffectScope::token()));
}

}  // namespace

void bind_callback(nb::module_& m) {
  m.def("_pure_callback", &run_pure, nb::arg("function"), nb::arg("inputs"), nb::arg("shapes"), nb::arg("dtypes"),
        nb::arg("vmap_method"));
  m.def("_debug_callback", &run_debug, nb::arg("function"), nb::arg("inputs"));
}

}  // namespace funcnn
