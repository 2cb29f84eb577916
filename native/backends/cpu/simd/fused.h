// Products fused with a sum, and divisions of whole rows.
#pragma once

#include "backends/cpu/simd/number.h"

namespace funcnn::cpu::simd {
namespace {

struct Fma {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b, T c) {
    return fma(a, b, c);
  }
};
struct Fms {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b, T c) {
    return fms(a, b, c);
  }
};
struct Fnma {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b, T c) {
    return fnma(a, b, c);
  }
};

struct ScaledDifference {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b, T c) {
    return (a - b) * c;
  }
};

// Whether the reciprocal of a divisor neither overflows nor loses bits.
template <class T>
FUNCNN_INLINE auto divides_by_reciprocal(T d) {
  return ((d > T(1e-30)) & (d < T(1e30))) | ((d < T(-1e-30)) & (d > T(-1e30)));
}

}  // namespace
}  // namespace funcnn::cpu::simd
