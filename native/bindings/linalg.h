// What ops_linalg.cpp takes from linalg.cpp.
#pragma once

#include "bindings/bindings.h"

namespace funcnn {

// Factorisations and solutions, for the functions of funcnn.linalg; they take the name of the function first.
void bind_factorisations(nb::module_& linalg);

}  // namespace funcnn
