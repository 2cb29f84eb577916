// 16-bit floating point, stored only: arithmetic happens in float32. The conversions have no branches, so that loops
// over them vectorise.
#pragma once

#include <cstdint>

#include "base/inline.h"

namespace funcnn {

// Round to nearest even; overflow gives infinity, NaN stays NaN.
constexpr FUNCNN_INLINE uint16_t float_to_bfloat16_bits(float value) {
  uint32_t bits = __builtin_bit_cast(uint32_t, value);
  uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return uint16_t((bits & 0x7fffffffu) > 0x7f800000u ? (bits >> 16) | 0x40u : rounded);
}
constexpr FUNCNN_INLINE float bfloat16_bits_to_float(uint16_t bits) {
  return __builtin_bit_cast(float, uint32_t(bits) << 16);
}

constexpr FUNCNN_INLINE uint16_t float_to_float16_bits(float value) {
  uint32_t bits = __builtin_bit_cast(uint32_t, value);
  uint32_t sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
  uint32_t normal = (magnitude + 0xc8000fffu + ((magnitude >> 13) & 1u)) >> 13;
  // Subnormal in half: float addition rounds at the right bit.
  uint32_t subnormal = __builtin_bit_cast(uint32_t, __builtin_bit_cast(float, magnitude) + 0.5f) - 0x3f000000u;
  uint32_t half = magnitude < 0x38800000u ? subnormal : normal;
  half = magnitude >= 0x477ff000u ? 0x7c00u : half;
  half = magnitude > 0x7f800000u ? 0x7e00u : half;
  return uint16_t(sign | half);
}
// A difference normalises subnormal numbers, from bits that none of float32 has: a processor may take a hundred times
// as long for a product of those. Infinities and NaN keep their bits.
constexpr FUNCNN_INLINE float float16_bits_to_float(uint16_t half) {
  uint32_t sign = uint32_t(half & 0x8000u) << 16, magnitude = uint32_t(half & 0x7fffu) << 13;
  uint32_t subnormal = __builtin_bit_cast(uint32_t, __builtin_bit_cast(float, magnitude + 0x38800000u) - 0x1p-14f);
  uint32_t bits = magnitude < 0x00800000u ? subnormal : magnitude + 0x38000000u;
  bits = magnitude >= 0x0f800000u ? (magnitude | 0x7f800000u) : bits;
  return __builtin_bit_cast(float, bits | sign);
}

struct float16_t {
  uint16_t bits = 0;
  float16_t() = default;
  constexpr FUNCNN_INLINE explicit float16_t(float value) : bits(float_to_float16_bits(value)) {}
  constexpr FUNCNN_INLINE operator float() const { return float16_bits_to_float(bits); }
};
struct bfloat16_t {
  uint16_t bits = 0;
  bfloat16_t() = default;
  constexpr FUNCNN_INLINE explicit bfloat16_t(float value) : bits(float_to_bfloat16_bits(value)) {}
  constexpr FUNCNN_INLINE operator float() const { return bfloat16_bits_to_float(bits); }
};

}  // namespace funcnn
