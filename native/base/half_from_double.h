// float64 to half precision, rounded once.
#pragma once

#include <type_traits>

#include "base/half.h"

namespace funcnn {

// The neighbour in float32 whose last bit is set, where the number is none itself. Rounded once more, to 11 bits or
// fewer, it gives what the number would: no tie comes from rounding, and none goes by it.
constexpr FUNCNN_INLINE float double_to_odd_float(double value) {
  float near = float(value);
  uint32_t bits = __builtin_bit_cast(uint32_t, near);
  double size = value < 0 ? -value : value, rounded = value < 0 ? -double(near) : double(near);
  uint32_t even = ~bits & 1u;
  bits += (even & uint32_t(rounded < size)) - (even & uint32_t(rounded > size));
  return __builtin_bit_cast(float, bits);
}

// From any number, to float16_t or bfloat16_t.
template <class Half, class T>
constexpr FUNCNN_INLINE Half to_half(T value) {
  if constexpr (std::is_same_v<T, double>)
    return Half(double_to_odd_float(value));
  else
    return Half(float(value));
}

}  // namespace funcnn
