// Powers of float32, computed in float64.
#pragma once

#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

struct RealPower {
  template <class F>
  static FUNCNN_INLINE auto rare(F x, F y) {
    return is_edge_of_log(x) | !(fabs(y) < kInf);
  }
  template <class F>
  static FUNCNN_INLINE F near(F x, F y) {
    Split<F> p = split_normal(x);
    auto f = widen(p.f), s = f / (2.0 + f);
    using D = decltype(f);
    return narrow(power(widen(y) * fma(s, polynomial(s * s, kLog2D), widen(p.e))));
  }
  template <class F>
  static FUNCNN_INLINE F far(F x, F y) {
    auto a = fabs(widen(x)), e = widen(y);
    using D = decltype(a);
    // Above 2^24 every float is an even integer; the bound keeps `nearest` exact.
    D c = clamp(e, D(-33554432.0), D(33554432.0));
    auto integral = nearest(c) == c;
    auto odd = integral & (nearest(c * 0.5) * 2.0 != c);
    D l = log2_inner(a);
    l = select(a == 0.0, D(-kInfD), l);
    l = select(a == kInfD, D(kInfD), l);
    l = select(a != a, D(kNanD), l);
    D r = power(e * l);
    auto negative = is_negative(x);
    r = select((x < 0.0f) & !integral & (a != kInfD), D(kNanD), r);
    r = select(negative & odd, -r, r);
    r = select((e == 0.0) | (x == 1.0f), D(1.0), r);
    r = select((a == 1.0) & ((e == kInfD) | (e == -kInfD)), D(1.0), r);
    return narrow(r);
  }

 private:
  // 2^x, which is 0 or infinity in float32 from the bounds on.
  template <class D>
  static FUNCNN_INLINE D power(D x) {
    return exp2_inner(clamp(x, D(-300.0), D(300.0)));
  }
};

}  // namespace
}  // namespace funcnn::cpu::simd
