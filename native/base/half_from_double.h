// float64 to half precision, rounded once.
#pragma once

#include <cstdint>
#include <type_traits>

#include "base/half.h"

namespace funcnn {

// 1 where rounding has made the magnitude smaller, -1 where larger.
constexpr FUNCNN_INLINE int64_t lost_by_rounding(double value, float near) {
  double size = value < 0 ? -value : value, rounded = value < 0 ? -double(near) : double(near);
  return int64_t(rounded < size) - int64_t(rounded > size);
}
// The neighbour in float32 whose last bit is set, where the number is none itself. Rounded once more, to 11 bits or
// fewer, it gives what the number would: no tie comes from rounding, and none goes by it.
constexpr FUNCNN_INLINE float odd_neighbour(float near, int32_t lost) {
  uint32_t bits = __builtin_bit_cast(uint32_t, near);
  return __builtin_bit_cast(float, bits + (~bits & 1u) * uint32_t(lost));
}

// From any number, to float16_t or bfloat16_t.
template <class Half, class T>
constexpr FUNCNN_INLINE Half to_half(T value) {
  if constexpr (std::is_same_v<T, double>) {
    const float near = float(value);
    return Half(odd_neighbour(near, int32_t(lost_by_rounding(value, near))));
  } else {
    return Half(float(value));
  }
}

}  // namespace funcnn
