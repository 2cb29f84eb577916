// Trigonometric functions of float32, computed in float64.
#pragma once

#include "backends/cpu/simd/angle.h"

namespace funcnn::cpu::simd {
namespace {

struct Sin {
  static constexpr float kUsual = kLargeAngle;
  template <class F>
  static FUNCNN_INLINE F near(F x) {
    return select(x == 0.0f, x, narrow(sin_by_half_turns(widen(x))));
  }
  template <class F>
  static FUNCNN_INLINE F far(F x) {
    return narrow(sin_of(reduce_large_angle(widen(x))));
  }
};
struct Cos {
  static constexpr float kUsual = kLargeAngle;
  template <class F>
  static FUNCNN_INLINE F near(F x) {
    return narrow(cos_by_half_turns(widen(x)));
  }
  template <class F>
  static FUNCNN_INLINE F far(F x) {
    return narrow(cos_of(reduce_large_angle(widen(x))));
  }
};
struct Tan {
  static constexpr float kUsual = kLargeAngle;
  template <class F>
  static FUNCNN_INLINE F near(F x) {
    return select(x == 0.0f, x, quotient<F>(reduce_angle(widen(x))));
  }
  template <class F>
  static FUNCNN_INLINE F far(F x) {
    return quotient<F>(reduce_large_angle(widen(x)));
  }

 private:
  template <class F, class D>
  static FUNCNN_INLINE F quotient(Angle<D> a) {
    // tan(r) = s / c with a relative error of 3e-11.
    D z = a.r * a.r;
    constexpr double p[] = {1.00000000002208859, -0.111361441842487773, 0.00107515484081178271};
    constexpr double q[] = {1.0, -0.44469477351389635, 0.0159733927302187586};
    D s = a.r * polynomial(z, p), c = polynomial(z, q);
    auto odd = is_odd(a.quadrant);
    return narrow(select(odd, -c, s) / select(odd, s, c));
  }
};

}  // namespace
}  // namespace funcnn::cpu::simd
