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
    return log_sum(s, s.e * kLn2Low);
  }
};
// The logarithm to another base is f high + f P(f), where `high` has so few bits that its product with f loses little.
struct Log2 : Logarithm<Log2> {
  template <class F>
  static FUNCNN_INLINE F of(Split<F> s) {
    constexpr float high = 1.44140625f;
    constexpr float c[] = {0.0012887537f, -0.721347332f, 0.480910629f,  -0.360703677f, 0.287916243f,
                           -0.238944829f, 0.215715662f,  -0.207269743f, 0.125836894f};  // relative error 3e-8
    return s.e + fma(s.f, F(high), s.f * polynomial(s.f, c));
  }
};
struct Log10 : Logarithm<Log10> {
  template <class F>
  static FUNCNN_INLINE F of(Split<F> s) {
    constexpr float high = 0.43359375f;
    constexpr float two_high = 0.301025390625f, two_low = 4.60503898119521e-06f;  // log10(2)
    constexpr float c[] = {0.000700720702f, -0.217147186f, 0.144768536f,   -0.108582631f, 0.0866714269f,
                           -0.0719295591f,  0.0649368837f, -0.0623944104f, 0.0378806815f};  // relative error 3e-8
    return fma(s.e, F(two_high), fma(s.f, F(high), fma(s.f, polynomial(s.f, c), s.e * two_low)));
  }
};
struct Log1p {
  template <class F>
  static FUNCNN_INLINE auto rare(F x) {
    // Those that are their own logarithm are not divided: a subnormal number would take long.
    return is_edge_of_log(1.0f + x) | less_as_integers(fabs(x), F(kSmall));
  }
  template <class F>
  static FUNCNN_INLINE F near(F x) {
    F u = 1.0f + x, most = u - 1.0f, lost = (x - most) + (1.0f - (u - most));
    lost = select(less_as_integers(fabs(x), F(kSmall)), F(0.0f), lost);
    Split<F> s = split_normal(u);
    return log_sum(s, fma(s.e, F(kLn2Low), lost / u));
  }
  template <class F>
  static FUNCNN_INLINE F far(F x) {
    return select(less_as_integers(fabs(x), F(kSmall)), x, log_edges(1.0f + x, x));
  }

  static constexpr float kSmall = 0x1p-26f;
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

// exp(a) = 2^n exp(r), so sinh(a) = (2^n - 2^-n) / 2 cosh(r) + (2^n + 2^-n) / 2 sinh(r), where nothing cancels if n is
// 0 for the smallest, and cosh(a) is the same with the factors exchanged.
template <class W>
struct Hyperbolic {
  W up, down, r;  // half of 2^n and of 2^-n
  W sinh, cosh;   // without r, which what it lost is part of, and without 1
};
template <class F>
FUNCNN_INLINE auto hyperbolic(F a) {
  F shifted = select(a < 0.55f, F(kShift), fma(a, F(1.44269504088896341f), F(kShift)));
  auto n = wide(shifted - kShift);
  using W = decltype(n);
  W most = fma(n, W(-kLn2High), wide(a)), r = fma(n, W(-kLn2Low), most), lost = fma(n, W(-kLn2Low), most - r);
  W z = r * r;
  auto shift = bits(shifted) << 23;
  constexpr auto half = UINT32_C(0x3f000000);
  constexpr float sinh[] = {0.166666687f, 0.008332978f, 0.000200216804f};  // relative errors 4e-10 and 2e-9
  constexpr float cosh[] = {0.500000119f, 0.0416641943f, 0.00140321441f};
  return Hyperbolic<W>{wide(from_bits(shift + half)), wide(from_bits(half - shift)), r,
                       fma(r, z * polynomial(z, sinh), lost), z * polynomial(z, cosh)};
}
struct Sinh {
  static constexpr float kUsual = 87.0f;
  template <class F>
  static FUNCNN_INLINE F near(F x) {
    F a = fabs(x);
    auto tiny = less_as_integers(a, F(kTiny));
    auto h = hyperbolic(select(tiny, F(0.0f), a));
    auto sum = h.up + h.down, difference = h.up - h.down;
    auto lost = fma((h.up - sum) + h.down, h.r, (h.up - difference) - h.down);
    F r = narrow(difference + fma(sum, h.r, fma(sum, h.sinh, fma(difference, h.cosh, lost))));
    return with_sign(select(tiny, a, r), x);
  }
  template <class F>
  static FUNCNN_INLINE F far(F x) {
    F a = fabs(x);
    auto e = exp_inner(widen(select(a > 100.0f, F(100.0f), a)));
    return with_sign(narrow(0.5 * (e - 1.0 / e)), x);
  }
};
struct Cosh {
  static constexpr float kUsual = 87.0f;
  template <class F>
  static FUNCNN_INLINE F near(F x) {
    auto h = hyperbolic(not_tiny(fabs(x)));
    auto sum = h.up + h.down, difference = h.up - h.down;
    return narrow(h.up + fma(difference, h.r, fma(sum, h.cosh, fma(difference, h.sinh, h.down))));
  }
  template <class F>
  static FUNCNN_INLINE F far(F x) {
    F a = fabs(x);
    return narrow(0.5 * exp_inner(widen(select(a > 100.0f, F(100.0f), a))));
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
    F e = exp_f32(low - high);
    auto small = less_as_integers(e, F(Log1p::kSmall));
    F r = high + select(small, e, Log1p::near(select(small, F(0.0f), e)));
    r = select((high == kInf) | (high == -kInf), high, r);
    return select((a != a) | (b != b), a + b, r);
  }
};

}  // namespace
}  // namespace funcnn::cpu::simd
