// Bits and booleans. Booleans are bytes 0 or 1, so most of their operations are those of uint8.
#pragma once

#include "backends/cpu/simd/number.h"

namespace funcnn::cpu::simd {
namespace {

// The other truth value.
FUNCNN_INLINE uint8_t opposite(uint8_t a) { return uint8_t(a ^ 1u); }

// Shifts by the width or more move every bit out; a negative count counts as large.
template <std::unsigned_integral T>
FUNCNN_INLINE T shift_left_by(T a, T b) {
  constexpr T width = T(sizeof(T) * 8);
  T shifted = T(a << (b & T(width - 1)));
  return b < width ? shifted : T(0);
}
template <std::integral T>
FUNCNN_INLINE T shift_right_by(T a, T b) {
  using U = std::make_unsigned_t<T>;
  constexpr U last = U(sizeof(T) * 8 - 1);
  if constexpr (std::is_signed_v<T>) {
    U count = U(b) > last ? last : U(b);
    return T(a >> count);
  } else {
    T shifted = T(a >> (b & last));
    return b > last ? T(0) : shifted;
  }
}

struct And {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    return T(a & b);
  }
};
struct Or {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    return T(a | b);
  }
};
struct Xor {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    return T(a ^ b);
  }
};
struct Invert {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    return T(~a);
  }
};
struct LeftShift {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    return shift_left_by(a, b);
  }
};
struct RightShift {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    return shift_right_by(a, b);
  }
};
struct Not {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    return opposite(a);
  }
};
struct OrNot {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    return T(a | opposite(b));
  }
};

}  // namespace
}  // namespace funcnn::cpu::simd
