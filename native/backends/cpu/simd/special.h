// erf, erfc and the inverse of erf in float32.
#pragma once

#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

// Close to 0 x + x P(x^2), elsewhere 1 - erfc(x) with erfc(x) = 2^(-x Q(x)), which ends at 1. Both sums add little that
// is rounded to something exact, and so they are monotone, provided that Q keeps what its last step loses.
struct Erf {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    F a = fabs(x), y = at_most(not_tiny(a), F(4.05f));
    auto w = wide(x), v = wide(y);
    using W = decltype(w);
    constexpr float p[] = {0.128379164f, -0.376126038f, 0.112831429f, -0.0268221097f, 0.00508744076f, -0.000654959665f};
    constexpr float q0 = -1.62812755f;  // of -Q
    constexpr float q[] = {-0.917060914f, -0.151975666f, 0.0330972638f, -0.00466137491f, 0.000311535641f};
    F near = narrow(fma(w, polynomial(v * v, p), w));
    W slope = polynomial(v, q);
    F sum = narrow(fma(v, slope, W(q0))), rest = narrow(fma(v, slope, q0 - wide(sum)));
    F far = 1.0f - exp2_product(y, sum, rest);
    return select(a >= 0.8f, with_sign(far, x), near);
  }
};

// exp(-x^2) times a rational approximation of erfcx (relative error 9e-11), reflected for negative arguments.
struct Erfc {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    auto y = widen(clamp(fabs(x), F(0.0f), F(10.3f)));
    constexpr double p[] = {
        1.0, 1.4337234781286341, 0.99994963057219488, 0.40194785739564287, 0.092674906970241305, 0.0099910793674034947};
    constexpr double q[] = {1.0,
                            2.5621026376823277,
                            2.8909730702783971,
                            1.8542099550842897,
                            0.72131114495748394,
                            0.16426091787276678,
                            0.017708749834443163};
    auto r = exp_inner(-y * y) * (polynomial(y, p) / polynomial(y, q));
    return narrow(select(x < 0.0f, 2.0 - r, r));
  }
};

// In w = -log(1 - x^2), after M. Giles, "Approximating the erfinv function" (2010), with coefficients of our own;
// beyond the usual numbers in sqrt(w).
struct Erfinv {
  static constexpr float kUsual = 0.9966f;
  template <class F>
  static FUNCNN_INLINE F near(F x) {
    auto y = widen(x), w = exponent(y);
    constexpr double c[] = {1.50140935916146322,     0.246640286299850073,    -0.0041773867287605812,
                            -0.00125274206781607955, 0.000218344413855566445, -4.96325579076095939e-6,
                            -3.46269927001178398e-6, 4.66152344235284047e-7,  2.32322108482637678e-8,
                            -8.78982575963585687e-9};
    return narrow(y * polynomial(w - 2.5, c));
  }
  template <class F>
  static FUNCNN_INLINE F far(F x) {
    auto y = widen(x), w = exponent(y);
    constexpr double c[] = {2.83297682105612614,     1.0016747967292674,        0.00944425518564760281,
                            -0.00763465980957580915, 0.00569607618161252062,    -0.00360961432890305905,
                            0.00146191715760705716,  -0.0000329538210331753238, -0.000291349799357269308,
                            0.0000986459372554723647};
    F r = narrow(y * polynomial(sqrt(w) - 3.0, c)), a = fabs(x);
    r = select(a == 1.0f, x * kInf, r);
    return select(a <= 1.0f, r, F(kNan));
  }

 private:
  // 1 - y^2 is exact but for one rounding where y is close to 1.
  template <class D>
  static FUNCNN_INLINE D exponent(D y) {
    return -log_inner(1.0 - y * y);
  }
};

// The product of two float32 is exact in float64.
struct ExpProduct {
  template <class F>
  static FUNCNN_INLINE F apply(F a, F b) {
    auto product = widen(a) * widen(b);
    using D = decltype(product);
    return narrow(exp_inner(clamp(product, D(-110.0), D(90.0))));
  }
};

}  // namespace

}  // namespace funcnn::cpu::simd
