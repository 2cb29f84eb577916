// The parts of jit.cpp.
#pragma once

#include "bindings/bindings.h"

namespace funcnn {

void bind_jit_arm(nb::module_& m);
void bind_jit_loop(nb::module_& m);

}  // namespace funcnn
