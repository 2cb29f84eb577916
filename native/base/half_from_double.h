// float64 to half precision, rounded once.
#pragma once

#include <cstdint>
#include <type_traits>

#include "base/half.h"

namespace funcnn {

// A float32 that becomes the half that the number would.
template <class Half>
constexpr FUNCNN_INLINE float before_rounding_to(double value) {
  const uint64_t bits = __builtin_bit_cast(uint64_t, value);
  if constexpr (std::is_same_v<Half, float16_t>) {
    // The last bit that float32 keeps is set where any behind it is: no tie comes from cutting them off, and none goes
    // by it. What is subnormal in float32 is far below all numbers of float16.
    constexpr uint64_t behind = (uint64_t(1) << 29) - 1;
    return float(__builtin_bit_cast(double, (bits | ((bits & behind) + behind)) & ~behind));
  } else {
    // Rounded to 8 bits, which float32 holds; below its normal numbers to units of 2^-133, as a sum does.
    constexpr uint64_t behind = (uint64_t(1) << 45) - 1, sign = uint64_t(1) << 63;
    const uint64_t rounded = (bits + (behind >> 1) + ((bits >> 45) & 1)) & ~behind;
    const uint64_t units = __builtin_bit_cast(uint64_t, (value + 0x1.8p-81) - 0x1.8p-81) | (bits & sign);
    const uint64_t magnitude = bits & ~sign;
    const uint64_t number = magnitude < 0x3810000000000000 ? units : rounded;
    return float(__builtin_bit_cast(double, magnitude > 0x7ff0000000000000 ? bits : number));
  }
}

// From any number, to float16_t or bfloat16_t.
template <class Half, class T>
constexpr FUNCNN_INLINE Half to_half(T value) {
  if constexpr (std::is_same_v<T, double>)
    return Half(before_rounding_to<Half>(value));
  else
    return Half(float(value));
}

}  // namespace funcnn
