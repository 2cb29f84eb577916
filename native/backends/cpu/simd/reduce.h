// The associative operations of reductions.
#pragma once

#include <limits>
#include <type_traits>

#include "backends/cpu/simd/loops.h"

namespace funcnn::cpu::simd {
namespace {

// Sums and products of integers wrap; bytes 0 and 1 stand for booleans.
template <class T>
struct SumOp {
  static FUNCNN_INLINE T identity() { return T(0); }
  static FUNCNN_INLINE T apply(T a, T b) { return T(a + b); }
};
template <class T>
struct ProdOp {
  static FUNCNN_INLINE T identity() { return T(1); }
  static FUNCNN_INLINE T apply(T a, T b) {
    if constexpr (sizeof(T) < 4)
      return T(uint32_t(a) * uint32_t(b));
    else
      return a * b;
  }
};
template <class T>
struct MaxOp {
  static FUNCNN_INLINE T identity() {
    if constexpr (std::is_floating_point_v<T>)
      return -std::numeric_limits<T>::infinity();
    else
      return std::numeric_limits<T>::lowest();
  }
  static FUNCNN_INLINE T apply(T a, T b) {
    T m = a > b ? a : b;  // b if either is NaN
    if constexpr (std::is_floating_point_v<T>) m = a != a ? a : m;
    return m;
  }
};
template <class T>
struct MinOp {
  static FUNCNN_INLINE T identity() {
    if constexpr (std::is_floating_point_v<T>)
      return std::numeric_limits<T>::infinity();
    else
      return std::numeric_limits<T>::max();
  }
  static FUNCNN_INLINE T apply(T a, T b) {
    T m = a < b ? a : b;
    if constexpr (std::is_floating_point_v<T>) m = a != a ? a : m;
    return m;
  }
};
template <class T>
struct AllOp {
  static FUNCNN_INLINE T identity() { return T(1); }
  static FUNCNN_INLINE T apply(T a, T b) { return T(a & b); }
};
template <class T>
struct AnyOp {
  static FUNCNN_INLINE T identity() { return T(0); }
  static FUNCNN_INLINE T apply(T a, T b) { return T(a | b); }
};

}  // namespace
}  // namespace funcnn::cpu::simd
