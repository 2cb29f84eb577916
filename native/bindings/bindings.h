// What the parts of the extension module share.
#pragma once

#include <nanobind/nanobind.h>

namespace nb = nanobind;

namespace funcnn {

void bind_pytree(nb::module_& m);

}  // namespace funcnn
