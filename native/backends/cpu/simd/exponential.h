// Exponentials, logarithms and hyperbolic functions of float32.
#pragma once

#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

// clang-format off
struct Expm1 { template <class F> static FUNCNN_INLINE F apply(F x) { return expm1_f32(x); } };
struct Log { template <class F> static FUNCNN_INLINE F apply(F x) { return log_f32(x); } };
// clang-format on

struct Exp {
  static constexpr float kUsual = kExpNormal;
  template <class F>
  static FUNCNN_INLINE F near(F x) {
    return exp_normal(x);
  }
  template <class F>
  static FUNCNN_INLINE F far(F x) {
    return exp_any(x);
  }
};
struct Exp2 {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    F y = without_tiny(clamp(x, F(-150.0f), F(128.4f))), shifted = y + kShift;
    auto r = wide(y - (shifted - kShift));
    using W = decltype(r);
    F p = narrow(1.0f + fma(r, W(kExp2Slope), r * r * polynomial(r, kExp2)));
    return select(x != x, x, scale(p, shifted));
  }
};
struct Log1p {
  template <class F>
  static FUNCNN_INLINE F apply(F given) {
    // Those that are their own logarithm are not divided: a subnormal number would take long.
    auto small = less_as_integers(fabs(given), F(0x1p-26f));
    F x = select(small, F(0.0f), given);
    F u = 1.0f + x;
    Split<F> s = split(u);
    // What the sum lost.
    F lost = select(x < 1.0f, x - (u - 1.0f), 1.0f - (u - x));
    F r = fma(s.e, F(kLn2High), s.f + fma(s.e, F(kLn2Low), log_rest(s.f) + lost / u));
    r = log_edges(u, r);
    return select(small, given, r);
  }
};
struct Log2 {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    Split<F> s = split(x);
    constexpr float high = 1.44140625f, low = 1.28879089e-3f;  // log2(e); high: 10 bits
    F rest = log_rest(s.f);
    F r = s.e + fma(s.f, F(high), fma(rest, F(high + low), s.f * low));
    return log_edges(x, r);
  }
};
struct Log10 {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    Split<F> s = split(x);
    constexpr float high = 0.43359375f, low = 7.00731903e-4f;                     // log10(e)
    constexpr float two_high = 0.301025390625f, two_low = 4.60503898119521e-06f;  // log10(2)
    F rest = log_rest(s.f);
    F r = fma(s.e, F(two_high), fma(s.f, F(high), fma(s.f, F(low), fma(rest, F(high + low), s.e * two_low))));
    return log_edges(x, r);
  }
};

// 1 / (1 + exp(-x)), which is monotone because each step is, and exp(x) where its sum with 1 is 1.
struct Sigmoid {
  static constexpr float kUsual = kExpNormal;
  template <class F>
  static FUNCNN_INLINE F near(F x) {
    x = without_tiny(clamp(x, F(-kUsual), F(kUsual)));  // no quotient takes long: see from_units
    F shifted = fma(x, F(-1.44269504088896341f), F(kShift)), n = shifted - kShift;
    F r = fma(n, F(kLn2Low), fma(n, F(kLn2High), x));
    F p = 1.0f + fms(r * r, polynomial(r, kExpOfNegative), r);
    return 1.0f / (1.0f + scale_normal(p, shifted));
  }
  template <class F>
  static FUNCNN_INLINE F far(F x) {
    return select(x > 0.0f, F(1.0f), exp_any(x));
  }
};

// Close to 0 a + a^3 P(a^2) for a = |x|, elsewhere 1 - 2 / (exp(2 a) + 1), which ends at 1. Monotone as each step is.
struct Tanh {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    F a = fabs(x), some = not_tiny(a), z = some * some;
    F y = at_most(some, F(15.0f));
    constexpr float two_log2e = 2.88539008177792681472f;
    F e = exp2_product(y, F(two_log2e));
    F far = 1.0f - 2.0f / (e + 1.0f);
    constexpr float p[] = {-0.333331436f, 0.133258715f, -0.053044986f, 0.0172404386f};
    F near = fma(a, z * polynomial(z, p), a);
    return with_sign(select(a >= 0.5f, far, near), x);
  }
};

struct Sinh {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    auto y = widen(clamp(fabs(x), F(0.0f), F(100.0f))), z = y * y;
    using D = decltype(y);
    D e = exp_inner(y);
    D large = 0.5 * (e - 1.0 / e);
    D small = fma(y * z, fma(z, fma(z, D(1.0 / 5040), D(1.0 / 120)), D(1.0 / 6)), y);
    return with_sign(narrow(select(z < 0.09, small, large)), x);
  }
};
struct Cosh {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    auto e = exp_inner(widen(clamp(fabs(x), F(0.0f), F(100.0f))));
    return narrow(0.5 * (e + 1.0 / e));
  }
};

struct Arcsinh {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    auto a = fabs(widen(x));
    using D = decltype(a);
    D r = log1p_inner(a + a * a / (1.0 + sqrt(fma(a, a, D(1.0)))));
    r = select(a == kInfD, D(kInfD), r);
    r = select(a == 0.0, D(0.0), r);
    return select(x != x, x, with_sign(narrow(r), x));
  }
};
struct Arccosh {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    auto t = widen(x) - 1.0;
    using D = decltype(t);
    D r = log1p_inner(t + sqrt(t * (t + 2.0)));
    r = select(t == kInfD, D(kInfD), r);
    return select((x < 1.0f) | (x != x), F(kNan), narrow(r));
  }
};
struct Arctanh {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    auto a = fabs(widen(x));
    using D = decltype(a);
    D r = 0.5 * log1p_inner(2.0 * a / (1.0 - a));
    r = select(a == 1.0, D(kInfD), r);
    r = select(a <= 1.0, r, D(kNanD));
    return with_sign(narrow(r), x);
  }
};
struct Logaddexp {
  template <class F>
  static FUNCNN_INLINE F apply(F a, F b) {
    auto first = a > b;
    F high = select(first, a, b), low = select(first, b, a);
    F r = high + Log1p::apply(exp_f32(low - high));
    r = select((high == kInf) | (high == -kInf), high, r);
    return select((a != a) | (b != b), a + b, r);
  }
};

}  // namespace
}  // namespace funcnn::cpu::simd
