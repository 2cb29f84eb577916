// The operations of the kernel tables (simd/table.h), written into lines.
#pragma once

#include <span>

#include "backends/cpu/jit/line.h"
#include "base/dtype.h"

namespace funcnn::cpu::jit {

// How a line holds what a table has in memory: booleans as masks, integers below 32 bits as 32-bit ones of the same
// value, float16 and bfloat16 as the float32 numbers they stand for, all else as it is. A line has 4-byte or 8-byte
// lanes (`wide`), of booleans both.

// The node of table entry [op][dtype] applied to these nodes; -1 where nobody has written it down. NaN has whichever
// payload the machine gives it.
int record(Line& line, int op, Dtype dtype, std::span<const int> args);
// Likewise for conversions.
int record_cast(Line& line, Dtype to, Dtype from, int value);

}  // namespace funcnn::cpu::jit
