// Exponentials, logarithms and hyperbolic functions of float32.
#pragma once

#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

// clang-format off
struct Expm1 { template <class F> static FUNCNN_INLINE F apply(F x) { return expm1_f32(x); } };
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
  static constexpr float kUsual = 126.0f;
  template <class F>
  static FUNCNN_INLINE F near(F x) {
    Exponential<F> e = parts(x);
    return scale_normal(e.p, e.shifted);
  }
  template <class F>
  static FUNCNN_INLINE F far(F x) {
    Exponential<F> e = parts(clamp(x, F(-150.0f), F(128.4f)));
    return select(x != x, x, scale(e.p, e.shifted));
  }

 private:
  template <class F>
  static FUNCNN_INLINE Exponential<F> parts(F x) {
    F y = without_tiny(x), shifted = y + kShift;
    auto r = wide(y - (shifted - kShift));
    using W = decltype(r);
    return {narrow(1.0f + fma(r, W(kExp2Slope), r * r * polynomial(r, kExp2))), shifted};
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
// Op makes a logarithm of (1 + f) 2^e.
template <class Op>
struct Logarithm {
  template <class F>
  static FUNCNN_INLINE auto rare(F x) {
    return is_edge_of_log(x);
  }
  template <class F>
  static FUNCNN_INLINE F near(F x) {
    return Op::of(split_normal(x));
  }
  template <class F>
  static FUNCNN_INLINE F far(F x) {
    return log_edges(x, Op::of(split(x)));
  }
};
struct Log : Logarithm<Log> {
  template <class F>
  static FUNCNN_INLINE F of(Split<F> s) {
    return fma(s.e, F(kLn2High), s.f + fma(s.e, F(kLn2Low), log_rest(s.f)));
  }
};
struct Log2 : Logarithm<Log2> {
  template <class F>
  static FUNCNN_INLINE F of(Split<F> s) {
    constexpr float high = 1.44140625f, low = 1.28879089e-3f;  // log2(e); high: 10 bits
    F rest = log_rest(s.f);
    return s.e + fma(s.f, F(high), fma(rest, F(high + low), s.f * low));
  }
};
struct Log10 : Logarithm<Log10> {
  template <class F>
  static FUNCNN_INLINE F of(Split<F> s) {
    constexpr float high = 0.43359375f, low = 7.00731903e-4f;                     // log10(e)
    constexpr float two_high = 0.301025390625f, two_low = 4.60503898119521e-06f;  // log10(2)
    F rest = log_rest(s.f);
    return fma(s.e, F(two_high), fma(s.f, F(high), fma(s.f, F(low), fma(rest, F(high + low), s.e * two_low))));
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

// exp(a) = 2^n exp(r), so sinh(a) = (2^n - 2^-n) / 2 cosh(r) + (2^n + 2^-n) / 2 sinh(r), where nothing cancels, and
// cosh(a) is the same with the factors exchanged.
struct Sinh {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    F a = fabs(x);
    auto y = widen(select(a > 100.0f, F(100.0f), a));
    using D = decltype(y);
    D shifted = fma(y, D(1.44269504088896340736), D(kShiftD)), r = fma(shifted - kShiftD, D(-kLn2D), y), z = r * r;
    constexpr auto half = UINT64_C(0x3fe0000000000000);
    auto n = bits(shifted) << 52;
    D up = from_bits(n + half), down = from_bits(half - n), sum = up + down, difference = up - down;
    constexpr double sinh[] = {0.16666666759877309, 0.0083332871783101676, 0.00019906223495342668};
    constexpr double cosh[] = {0.50000000839350424, 0.041666251076170979, 0.0013947367453048655};  // without its 1
    D odd = fma(r * z, polynomial(z, sinh), r), even = z * polynomial(z, cosh);
    return with_sign(narrow(fma(difference, even, fma(sum, odd, difference))), x);
  }
};
struct Cosh {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    F a = fabs(x);
    auto e = exp_inner(widen(select(a > 100.0f, F(100.0f), a)));
    return narrow(0.5 * (e + 1.0 / e));
  }
};

// log(2^n (1 + s) / (1 - s)) / 2, with s of up to 0.2.
template <class D>
FUNCNN_INLINE D half_log(D s, D n) {
  constexpr double c[] = {0.33333331715626887, 0.20000441281542161, 0.14252053795681682, 0.12078609322089653};
  D z = s * s;
  return fma(n, D(0.5 * kLn2D), fma(s * z, polynomial(z, c), s));
}
// log(a + root) for a root of a^2 + 1 and of a^2 - 1.
struct Arcsinh {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    F size = fabs(x);
    auto a = widen(size);
    using D = decltype(a);
    D t = a + sqrt(fma(a, a, D(1.0)));
    Magnitude<D> m = magnitude(t);
    D r = half_log((t - m.power) / (t + m.power), m.exponent);
    return with_sign(select((size < 0x1p-13f) | !(size < kInf), size, narrow(r + r)), x);
  }
};
struct Arccosh {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    auto y = widen(x), t = y - 1.0;
    using D = decltype(y);
    D root = sqrt(t * (t + 2.0));
    Magnitude<D> m = magnitude(y + root);
    D r = half_log(((y - m.power) + root) / ((y + m.power) + root), m.exponent);
    return select(x < 1.0f, F(kNan), select(x == kInf, x, narrow(r + r)));
  }
};
// Of (1 + a) / (1 - a).
struct Arctanh {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    F size = fabs(x);
    auto a = widen(size);
    using D = decltype(a);
    // The difference of the bits is almost that of the logarithms.
    auto b = bits(1.0 + a) - bits(1.0 - a) + UINT64_C(0x3ff8000000000000);
    D power = from_bits(b & UINT64_C(0x7ff0000000000000));
    D n = from_bits(UINT64_C(0x4330000000000000) | (b >> 52)) - (4503599627370496.0 + 1023.0);
    D sum = 1.0 + power, difference = 1.0 - power;
    F r = narrow(half_log(fma(a, sum, difference) / fma(a, difference, sum), n));
    return with_sign(select(size < 1.0f, r, select(size == 1.0f, F(kInf), F(kNan))), x);
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
