// What kernels move and do, and how to print it.
#pragma once

#include <string>

#include "plan/backend.h"

namespace funcnn {

Effort effort_of(const KernelProgram& program);
// "1.5 M"
std::string amount(double x);

}  // namespace funcnn
