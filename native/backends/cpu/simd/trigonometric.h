// Trigonometric functions of float32, computed in float64.
#pragma once

#include "backends/cpu/simd/angle.h"
#include "backends/cpu/simd/arcsine.h"

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

struct Arctan {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    auto a = fabs(widen(x));
    using D = decltype(a);
    auto steep = a > 1.0;
    D r = atan_unit(select(steep, 1.0 / a, a));
    return with_sign(narrow(select(steep, kPi / 2 - r, r)), x);
  }
};
// Relative error 5e-9.
constexpr double kAsin[] = {0.16666753927842215, 0.074952417641597751, 0.045477102231006454, 0.02414757373315464,
                            0.04221862639390825};
struct Arcsin {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    auto a = fabs(widen(x));
    using D = decltype(a);
    D r = arcsin_part(a, kAsin);
    return with_sign(narrow(select(a > 0.5, kPi / 2 - (r + r), r)), x);
  }
};
struct Arccos {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    auto y = widen(x), a = fabs(y);
    using D = decltype(a);
    D r = arcsin_part(a, kAsin), angle = with_sign_long(select(a > 0.5, r + r, r), y);
    // From the nearest of 0, a quarter and half a turn.
    D far = select(y < 0.0, kPi + angle, angle);
    return narrow(select(a > 0.5, far, kPi / 2 - angle));
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
