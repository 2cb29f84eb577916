// Comparisons, predicates and selection.
#pragma once

#include <limits>

#include "backends/cpu/simd/number.h"

namespace funcnn::cpu::simd {
namespace {

// clang-format off
struct Equal { template <class T> static FUNCNN_INLINE auto apply(T a, T b) { return a == b; } };
struct NotEqual { template <class T> static FUNCNN_INLINE auto apply(T a, T b) { return a != b; } };
struct Less { template <class T> static FUNCNN_INLINE auto apply(T a, T b) { return a < b; } };
struct LessEqual { template <class T> static FUNCNN_INLINE auto apply(T a, T b) { return a <= b; } };
struct Greater { template <class T> static FUNCNN_INLINE auto apply(T a, T b) { return a > b; } };
struct GreaterEqual { template <class T> static FUNCNN_INLINE auto apply(T a, T b) { return a >= b; } };
struct LogicalAnd { template <class T> static FUNCNN_INLINE auto apply(T a, T b) { return (a != T(0)) & (b != T(0)); } };
struct LogicalOr { template <class T> static FUNCNN_INLINE auto apply(T a, T b) { return (a != T(0)) | (b != T(0)); } };
struct LogicalNot { template <class T> static FUNCNN_INLINE auto apply(T a) { return a == T(0); } };
struct IsNan { template <class T> static FUNCNN_INLINE auto apply(T a) { return a != a; } };
struct IsFinite { template <class T> static FUNCNN_INLINE auto apply(T a) { return a - a == T(0); } };
// clang-format on
struct IsInf {
  template <class T>
  static FUNCNN_INLINE auto apply(T a) {
    constexpr float inf = std::numeric_limits<float>::infinity();
    return (a == T(inf)) | (a == T(-inf));
  }
};
// Of integers: none is NaN or infinite.
struct No {
  template <class T>
  static FUNCNN_INLINE auto apply(T a) {
    return a != a;
  }
};
struct Yes {
  template <class T>
  static FUNCNN_INLINE auto apply(T a) {
    return a == a;
  }
};
// Selection only moves bits.
struct Select {
  template <class C, class T>
  static FUNCNN_INLINE T apply(C condition, T a, T b) {
    return select(condition, a, b);
  }
};

}  // namespace
}  // namespace funcnn::cpu::simd
