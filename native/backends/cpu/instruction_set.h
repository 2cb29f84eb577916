// The instruction sets this binary carries code for, what the machine has, and the tables in use.
#pragma once

#include "backends/cpu/simd/table.h"

namespace funcnn::cpu {

enum class InstructionLevel { baseline, avx2, avx512 };  // the baseline of ARM is NEON

// The best that this machine has: AVX2 with FMA, AVX-512 with BW, VL and DQ.
InstructionLevel machine_level();
// Of the tables in use: the same unless a test chose others.
InstructionLevel active_level();

const simd::Table& active_table();

}  // namespace funcnn::cpu
