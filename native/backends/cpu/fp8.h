// float8 (e4m3 without infinities) and float4 (e2m1), one at a time or in loops that vectorise.
#pragma once

#include <cstdint>

#include "base/inline.h"

namespace funcnn::cpu {
namespace {

// To the nearest, ties to even; beyond the largest number, and of NaN, the largest.
FUNCNN_INLINE uint8_t float_to_e4m3(float x) {
  uint32_t bits = __builtin_bit_cast(uint32_t, x), magnitude = bits & 0x7fffffffu;
  uint32_t normal = ((magnitude + 0x7ffffu + ((magnitude >> 20) & 1u)) >> 20) - (120u << 3);
  // Below the normal numbers float addition rounds at the right bit: steps of 2^-9.
  uint32_t subnormal = __builtin_bit_cast(uint32_t, __builtin_bit_cast(float, magnitude) + 0x1p14f) - 0x46800000u;
  uint32_t code = magnitude < 0x3c800000u ? subnormal : normal;
  code = magnitude >= 0x43e00000u ? 126u : code;
  return uint8_t(code | ((bits >> 24) & 0x80u));
}

FUNCNN_INLINE float e4m3_to_float(uint8_t code) {
  uint32_t magnitude = code & 0x7fu;
  // A subnormal number is the fraction of one above, less its leading bit.
  uint32_t bits = (magnitude << 20) + ((magnitude < 8 ? 121u : 120u) << 23);
  float value = __builtin_bit_cast(float, bits) - (magnitude < 8 ? 0x1p-6f : 0.0f);
  bits = magnitude == 0x7fu ? 0x7fc00000u : __builtin_bit_cast(uint32_t, value);
  return __builtin_bit_cast(float, bits | (uint32_t(code & 0x80u) << 24));
}

// Powers of two; 255 is NaN.
FUNCNN_INLINE float e8m0_to_float(uint8_t code) {
  uint32_t bits = uint32_t(code) << 23;
  bits = code == 0 ? 0x00400000u : bits;
  return __builtin_bit_cast(float, code == 255 ? 0x7fc00000u : bits);
}

// To the nearest; ties and numbers between 0 and the first go towards zero, which has no sign. NaN gives zero.
FUNCNN_INLINE uint8_t float_to_e2m1(float x) {
  float a = x < 0 ? -x : x;
  uint32_t code = uint32_t(a > 0.25f) + uint32_t(a > 0.75f) + uint32_t(a > 1.25f) + uint32_t(a > 1.75f) +
                  uint32_t(a > 2.5f) + uint32_t(a > 3.5f) + uint32_t(a > 5.0f);
  return uint8_t(code | (x < 0 && code ? 8u : 0u));
}

inline constexpr float kE2m1[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};

}  // namespace
}  // namespace funcnn::cpu
