// Rounding to bfloat16 by the instruction that some processors have for it.
#pragma once

#include "backends/cpu/jit/line.h"

namespace funcnn::cpu::jit {

// Of AVX512_BF16; it takes subnormal numbers for zeros.
bool has_brain_instruction();

// Makes one node, Do::brain, of the operations on bits that round to bfloat16 (casts.cpp).
void join_roundings(Line& line);

}  // namespace funcnn::cpu::jit
