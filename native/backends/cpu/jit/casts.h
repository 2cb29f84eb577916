// Conversions, written into lines.
#pragma once

#include "backends/cpu/jit/value.h"

namespace funcnn::cpu::jit {

// What a half type makes of a number: rounded to nearest, ties to even; NaN stays.
inline Float32 round_half(Float32 x) { return Float32(make(Do::half, {x})); }
inline Float32 round_brain(Float32 x) {
  Uint32 b = bits(x), rounded = b + 0x7fffu + ((b >> 16) & 1u);
  return from_bits(select(x != x, b | 0x400000u, rounded) & 0xffff0000u);
}

}  // namespace funcnn::cpu::jit
