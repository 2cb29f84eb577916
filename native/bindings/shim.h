// What the parts of the module that serve funcnn.compat share.
#pragma once

#include "bindings/array.h"
#include "bindings/containers.h"

namespace funcnn {

// A handle of the mutable class on a value.
Array mutable_array(Array x);
nb::object wrap_mutable(Array x);
// The tree of an outline, of plain containers, with mutable handles on `arrays`.
nb::object built(const containers::Outline& outline, Span arrays);

void bind_shim_transforms(nb::module_& m);
// To its submodule.
void bind_shim_compile(nb::module_& m);
void bind_shim_custom(nb::module_& m);
void bind_shim_eval(nb::module_& m);
void bind_shim_export(nb::module_& m);

}  // namespace funcnn
