// Building blocks of the transcendental functions, written so that loops over them vectorise: no branches, no calls.
// Functions of float32 that are hard in float32 are computed in float64 with polynomials good to about 1e-10.
// Coefficients are minimax fits (Lawson's iteration in 40-digit arithmetic) over the ranges named.
//
// Functions are templates over the type of number, F for float32 and D for float64: the loops of this folder run them
// on numbers, and the code generator on types that write down what is done (jit/value.h). So choices are `select`s, and
// what operators do not spell has a name below that both have.
#pragma once

#include <limits>

#include "backends/cpu/simd/number.h"

namespace funcnn::cpu::simd {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr double kInfD = std::numeric_limits<double>::infinity();
constexpr double kNanD = std::numeric_limits<double>::quiet_NaN();

template <class F, class C, int n>
FUNCNN_INLINE F polynomial(F x, const C (&c)[n]) {
  F r = F(c[n - 1]);
#pragma GCC unroll 16
  for (int i = n - 2; i >= 0; --i) r = fma(r, x, F(c[i]));
  return r;
}

// Whether what an operation does `far` from the usual applies: rare.h.
template <class Op, class... F>
FUNCNN_INLINE auto is_rare(F... x) {
  if constexpr (requires { Op::rare(x...); })
    return Op::rare(x...);
  else
    return less_as_integers(F(Op::kUsual)..., fabs(x)...);
}

// What is tiny makes no difference to a sum with 1, but a processor may take a hundred times as long for a square that
// is subnormal: for a number of either sign 0 stands for it, for a magnitude the least that is not tiny.
constexpr float kTiny = 0x1p-40f;
template <class F>
FUNCNN_INLINE F without_tiny(F x) {
  return select(less_as_integers(fabs(x), F(kTiny)), F(0.0f), x);
}
template <class F>
FUNCNN_INLINE F not_tiny(F magnitude) {
  return at_least(magnitude, F(kTiny));
}
// NaN stays.
template <class F>
FUNCNN_INLINE F clamp(F x, F low, F high) {
  x = select(x < low, low, x);
  return select(x > high, high, x);
}
// Of a magnitude without a sign.
template <class F>
FUNCNN_INLINE F with_sign(F magnitude, F sign) {
  return from_bits(bits(magnitude) | (bits(sign) & 0x80000000u));
}
template <class D>
FUNCNN_INLINE D with_sign_long(D magnitude, D sign) {
  return from_bits(bits(magnitude) | (bits(sign) & UINT64_C(0x8000000000000000)));
}

// The nearest integer, as a float and in the low bits of the sum's representation, for |x| < 2^22 (2^51).
constexpr float kShift = 12582912.0f;
constexpr double kShiftD = 6755399441055744.0;
template <class D>
FUNCNN_INLINE D nearest(D x) {
  return (x + kShiftD) - kShiftD;
}

// 2^n for integral n in [-126, 127]; for n = shifted - kShiftD in [-1022, 1023].
template <class F>
FUNCNN_INLINE F power_of_two(F n) {
  return from_bits((bits(n + kShift) << 23) + 0x3f800000u);
}
template <class D>
FUNCNN_INLINE D power_of_two_shifted(D shifted) {
  return from_bits((bits(shifted) << 52) + UINT64_C(0x3ff0000000000000));
}
// The number of so many units of 2^-149, at most 2^23, to which 2^23 was added, and which that rounded to an integer.
// So come results below 2^-126: to round a product to one, a processor may take a hundred times as long as for a
// multiplication.
template <class F>
FUNCNN_INLINE F from_units(F sum) {
  return from_bits(bits(sum) - 0x4b000000u);
}
// p * 2^n for p in (1/2, 2) and n = shifted - kShift, where the result is a normal number.
template <class F>
FUNCNN_INLINE F scale_normal(F p, F shifted) {
  return from_bits(bits(p) + (bits(shifted) << 23));
}
// The same for n in [-150, 128], rounded once; of NaN infinity.
template <class F>
FUNCNN_INLINE F scale(F p, F shifted) {
  F normal = scale_normal(p, shifted);
  F units = fma(p, from_bits((bits(shifted) << 23) + (276u << 23)), F(8388608.0f));
  F r = select(less_as_integers(normal, F(std::numeric_limits<float>::min())), from_units(units), normal);
  return select(less_as_integers(F(std::numeric_limits<float>::max()), normal), F(kInf), r);
}

// (exp(r) - 1 - r) / r^2 for |r| <= log(2) / 2; relative error of exp 3e-9.
constexpr float kExp[] = {0.500000009969231287f, 0.166665186126761274f, 0.041666193044246616f, 0.00836891210372543695f,
                          0.00139512543998481467f};
// Of -r: (exp(-r) - 1 + r) / r^2.
constexpr float kExpOfNegative[] = {kExp[0], -kExp[1], kExp[2], -kExp[3], kExp[4]};
// exp(r) and 2^r over the same and |r| <= 1/2; relative error 2e-9.
constexpr double kExpD[] = {1.0000000005546644,   1.0000000363445132,    0.49999992074595808,  0.16666420073665563,
                            0.041668226314875384, 0.0083748239505438568, 0.0013836828510395427};
constexpr double kExp2D[] = {1.000000000554172,    0.6931472057361125,    0.24022646890577753,   0.055503287772197346,
                             0.009618488966838246, 0.0013399931366474356, 0.00015345809408112463};
// (2^r - 1) / r for |r| <= 1/2 without its first coefficient: with that apart, the sum is monotone.
constexpr float kExp2Slope = 0.693147182f;
constexpr float kExp2[] = {0.240226477f, 0.0555035956f, 0.00961849932f, 0.00133909704f, 0.000153292698f};
// (log(1 + f) - f) / f^2 for 1 + f in [sqrt(1/2), sqrt(2)]; relative error of log 3e-8.
constexpr float kLog[] = {-0.499999911f, 0.333339542f, -0.250018269f, 0.199619561f,
                          -0.165684223f, 0.149169654f, -0.143241331f, 0.0876026824f};

constexpr float kLn2High = 0.693145751953125f, kLn2Low = 1.428606765330187e-06f;  // high: 15 bits
constexpr double kLn2D = 0.693147180559945309417;

// x = n log(2) + r, exp(x) = p 2^n.
template <class F>
struct Exponential {
  F p, shifted;
};
template <class F>
FUNCNN_INLINE Exponential<F> exponential(F x) {
  x = without_tiny(x);
  F shifted = fma(x, F(1.44269504088896341f), F(kShift));
  F n = shifted - kShift;
  F r = fma(n, F(-kLn2Low), fma(n, F(-kLn2High), x));
  return {1.0f + fma(r * r, polynomial(r, kExp), r), shifted};
}
// For |x| up to log(2^126), where the result is a normal number, and for all x.
constexpr float kExpNormal = 87.3365402f;
template <class F>
FUNCNN_INLINE F exp_normal(F x) {
  Exponential<F> e = exponential(x);
  return scale_normal(e.p, e.shifted);
}
template <class F>
FUNCNN_INLINE F exp_any(F x) {
  Exponential<F> e = exponential(clamp(x, F(-104.0f), F(88.9f)));
  return select(x != x, x, scale(e.p, e.shifted));
}
FUNCNN_INLINE float exp_f32(float x) { return exp_any(x); }

template <class F>
FUNCNN_INLINE F expm1_f32(F x) {
  F y = without_tiny(clamp(x, F(-20.0f), F(89.0f)));
  F n = fma(y, F(1.44269504088896341f), F(kShift)) - kShift;
  F r = fma(n, F(-kLn2Low), fma(n, F(-kLn2High), y));
  F p = fma(r * r, polynomial(r, kExp), r);
  F half = power_of_two(n - 1.0f);
  F e = 2.0f * fma(half, p, half - 0.5f);
  return select(fabs(x) < 1e-9f, x, e);  // a half would lose the last bit of the smallest
}

// 2^(a b) for |a b| < 120 with a relative error of 2e-7: for what is added to something larger. Monotone.
constexpr float kExp2Short[] = {0.693147004f, 0.240222454f, 0.0555070676f, 0.00967136025f, 0.00132713537f};
template <class F>
FUNCNN_INLINE F exp2_reduced(F r, F shifted) {
  F p = fma(r, polynomial(r, kExp2Short), F(1.0f));
  return from_bits(bits(p) + (bits(shifted) << 23));
}
template <class F>
FUNCNN_INLINE F exp2_product(F a, F b) {
  F shifted = fma(a, b, F(kShift));
  return exp2_reduced(fma(a, b, kShift - shifted), shifted);
}
// 2^(a (b + rest)), where the rest is what b lost by rounding.
template <class F>
FUNCNN_INLINE F exp2_product(F a, F b, F rest) {
  F shifted = fma(a, b, F(kShift));
  F r = narrow(fma(wide(a), wide(b), wide(kShift - shifted)));
  return exp2_reduced(fma(a, rest, r), shifted);
}

// x = (1 + f) 2^e with 1 + f in [sqrt(1/2), sqrt(2)); x positive and finite, subnormal numbers included.
template <class F>
struct Split {
  F f, e;
};
template <class F>
FUNCNN_INLINE Split<F> split_normal(F x) {
  auto b = bits(x) - 0x3f3504f3u;
  return {from_bits((b & 0x7fffffu) + 0x3f3504f3u) - 1.0f, from_signed(shift_signed(b, 23))};
}
template <class F>
FUNCNN_INLINE Split<F> split(F x) {
  // So many units of 2^-149, behind the bits of 2^23: no arithmetic on subnormal numbers, which takes processors long.
  auto small = less_as_integers(x, F(std::numeric_limits<float>::min()));
  Split<F> s = split_normal(select(small, from_bits(bits(x) | 0x4b000000u) - 8388608.0f, x));
  return {s.f, s.e - select(small, F(149.0f), F(0.0f))};
}
// All but positive normal numbers.
template <class F>
FUNCNN_INLINE auto is_edge_of_log(F x) {
  return less_as_integers(x, F(std::numeric_limits<float>::min())) |
         less_as_integers(F(std::numeric_limits<float>::max()), x);
}
template <class F>
FUNCNN_INLINE F log_edges(F x, F r) {
  r = select(x > 0.0f, r, select(x == 0.0f, F(-kInf), F(kNan)));
  return select(x == kInf, x, r);
}
// log((1 + f) 2^e) + rest
template <class F>
FUNCNN_INLINE F log_sum(Split<F> s, F rest) {
  return fma(s.e, F(kLn2High), s.f + fma(s.f * s.f, polynomial(s.f, kLog), rest));
}

// p * 2^n for n = shifted - kShiftD, where the result is a normal number.
template <class D>
FUNCNN_INLINE D scale_normal_long(D p, D shifted) {
  return from_bits(bits(p) + (bits(shifted) << 52));
}
// float64 for functions of float32, as good as the coefficients. |x| < 700.
template <class D>
FUNCNN_INLINE D exp_inner(D x) {
  D shifted = fma(x, D(1.44269504088896340736), D(kShiftD)), r = fma(shifted - kShiftD, D(-kLn2D), x);
  return scale_normal_long(polynomial(r, kExpD), shifted);
}
template <class D>
FUNCNN_INLINE D exp2_inner(D x) {
  D shifted = x + kShiftD, r = x - (shifted - kShiftD);
  return scale_normal_long(polynomial(r, kExp2D), shifted);
}
// Of a positive normal number: the power of two that is nearest, or almost, and its exponent through the bits of
// 2^52 + n, where n is biased to stay positive.
template <class D>
struct Magnitude {
  D power, exponent;
};
template <class D>
FUNCNN_INLINE Magnitude<D> magnitude(D x) {
  auto b = bits(x) + (UINT64_C(0x3ff0000000000000) - UINT64_C(0x3fe6a09e667f3bcd));
  return {from_bits(b & UINT64_C(0x7ff0000000000000)),
          from_bits(UINT64_C(0x4330000000000000) | (b >> 52)) - (4503599627370496.0 + 1023.0)};
}
// log(x) = 2 artanh(s) + e log(2) for a quotient s of up to 0.1716; the coefficients are those of s^2.
constexpr double kLogD[] = {2.0000000000084658, 0.66666665235898227, 0.40000386644189795, 0.28534943743625381,
                            0.23618183014973107};  // relative error 8e-12
constexpr double kLog2D[] = {2.8853900817901404, 0.96179667328435028, 0.57708359445213742, 0.41167221829441748,
                             0.34073835510509648};  // of log2(x), 1.2e-11
template <class D>
FUNCNN_INLINE D log_inner(D x) {
  Magnitude<D> m = magnitude(x);
  D s = (x - m.power) / (x + m.power);
  return fma(m.exponent, D(kLn2D), s * polynomial(s * s, kLogD));
}
template <class D>
FUNCNN_INLINE D log2_inner(D x) {
  Magnitude<D> m = magnitude(x);
  D s = (x - m.power) / (x + m.power);
  return fma(s, polynomial(s * s, kLog2D), m.exponent);
}

// (arctan(t) / t - 1) / t^2 in t^2, for t in [0, 1]; relative error of arctan 3e-9.
constexpr double kAtan[] = {-0.33333299094071048,  0.19998548433066771,   -0.142642431560805,
                            0.10952192961571619,   -0.084034699032527758, 0.057957905375450798,
                            -0.031178133633365649, 0.010914748063561657,  -0.0017936508419680397};
constexpr double kPi = 3.14159265358979323846;
template <class D>
FUNCNN_INLINE D atan_unit(D t) {  // t in [0, 1]
  D z = t * t;
  return fma(t * z, polynomial(z, kAtan), t);
}
// As std::atan2 for finite or infinite arguments, not both zero or both infinite (which give the axis y = +-x = 0).
template <class D>
FUNCNN_INLINE D atan2_inner(D y, D x) {
  D ay = select(y < 0.0, -y, y), ax = select(x < 0.0, -x, x);
  auto steep = ay > ax;
  D low = select(steep, ax, ay), high = select(steep, ay, ax);
  D t = low / high;
  t = select(low == 0.0, D(0.0), t);
  t = select(low == kInfD, D(1.0), t);
  D r = atan_unit(t);
  r = select(steep, kPi / 2 - r, r);
  r = select(is_negative(x), kPi - r, r);
  r = with_sign_long(r, y);
  return select((x != x) | (y != y), D(kNanD), r);
}

}  // namespace
}  // namespace funcnn::cpu::simd
