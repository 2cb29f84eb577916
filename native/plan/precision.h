// How precise the values of a program have to be.
#pragma once

#include <vector>

#include "plan/kernel_program.h"

namespace funcnn {

// By instruction: whether nobody would notice that its value is only as good as float16 holds it, with a relative error
// far below that of rounding to it. That is so of values of half precision, and where every reader rounds to it sooner
// or later, and before does nothing that a small relative error grows by: differences, comparisons, storing float32.
std::vector<char> half_suffices(const KernelProgram& program);

}  // namespace funcnn
