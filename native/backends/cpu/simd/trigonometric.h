// Trigonometric functions of float32, computed in float64.
#pragma once

#include "backends/cpu/simd/angle.h"

namespace funcnn::cpu::simd {
namespace {

struct Sin {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    F s = narrow(sin_of(reduce_angle(widen(x))));
    return select(x == 0.0f, x, s);
  }
  static float libm(float x) { return float(std::sin(double(x))); }
};
struct Cos {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    return narrow(cos_of(reduce_angle(widen(x))));
  }
  static float libm(float x) { return float(std::cos(double(x))); }
};
struct Tan {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    auto a = reduce_angle(widen(x));
    auto s = sin_kernel(a.r), c = cos_kernel(a.r);
    auto odd = is_odd(a.quadrant);
    F t = narrow(select(odd, -c, s) / select(odd, s, c));
    return select(x == 0.0f, x, t);
  }
  static float libm(float x) { return float(std::tan(double(x))); }
};

struct Arctan {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    auto y = widen(x);
    return narrow(atan2_inner(y, constant_beside(y, 1.0)));
  }
};
struct Arcsin {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    auto y = widen(x);
    return narrow(atan2_inner(y, sqrt((1.0 - y) * (1.0 + y))));
  }
};
struct Arccos {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    auto y = widen(x);
    return narrow(atan2_inner(sqrt((1.0 - y) * (1.0 + y)), y));
  }
};
struct Arctan2 {
  template <class F>
  static FUNCNN_INLINE F apply(F y, F x) {
    return narrow(atan2_inner(widen(y), widen(x)));
  }
};

}  // namespace
}  // namespace funcnn::cpu::simd
