// Quotients of integers through float64: that of two integers of 32 bits never rounds to an integer that it is not.
#pragma once

#include "backends/cpu/simd/number.h"

namespace funcnn::cpu::simd {
namespace {

FUNCNN_INLINE double widen(int32_t x) { return double(x); }
FUNCNN_INLINE double widen(uint32_t x) { return double(x); }
// Of a whole number that 33 bits hold, the low 32.
FUNCNN_INLINE int32_t low_bits(double x) { return int32_t(uint32_t(int64_t(x))); }

// Of 8 or 16 bits: a quotient of two does not round in float32 to an integer that it is not either.
struct NarrowFloorDivide {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    const int32_t x = a, y = b == T(0) ? 1 : b, q = int32_t(float(x) / float(y)), rest = x - q * y;
    return b == T(0) ? T(0) : T(q - int32_t((rest != 0) & ((rest ^ y) < 0)));
  }
};
struct NarrowRemainder {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    const int32_t x = a, y = b == T(0) ? 1 : b, q = int32_t(float(x) / float(y)), rest = x - q * y;
    return b == T(0) ? T(0) : T(rest + ((rest != 0) & ((rest ^ y) < 0) ? y : 0));
  }
};

struct IntFloorDivide {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    auto none = b == T(0);
    return select(none, T(0), T(low_bits(floor(widen(a) / widen(select(none, T(1), b))))));
  }
};
struct IntRemainder {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    using U = typename Kin<T>::Unsigned;
    U q = U(IntFloorDivide::apply(a, b));
    return select(b == T(0), T(0), T(U(a) - q * U(b)));
  }
};

}  // namespace
}  // namespace funcnn::cpu::simd
