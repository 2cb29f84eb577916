// Trigonometric functions of float32, computed in float64.
#pragma once

#include "backends/cpu/simd/angle.h"

namespace funcnn::cpu::simd {
namespace {

// `near` for arguments up to kLargeAngle, `far` for those beyond.
struct Sin {
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
    D s = sin_kernel(a.r), c = cos_kernel(a.r);
    auto odd = is_odd(a.quadrant);
    return narrow(select(odd, -c, s) / select(odd, s, c));
  }
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
