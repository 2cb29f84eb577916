#pragma once

#include "bindings/bindings.h"

namespace funcnn {

void bind_profile(nb::module_& m);

}  // namespace funcnn
