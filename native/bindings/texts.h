// Texts in the bytes of a file.
#pragma once

#include "bindings/bindings.h"

namespace funcnn {

void bind_texts(nb::module_& m);

}  // namespace funcnn
