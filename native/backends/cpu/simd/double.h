// Exponentials, logarithms, hyperbolic functions and erf of float64, to within 2 ulp or so: the same methods as in
// math.h and exponential.h with longer polynomials. Coefficients are minimax fits (Remez's algorithm in 60-digit
// arithmetic).
#pragma once

#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

// (exp(r) - 1 - r) / r^2 for |r| <= log(2) / 2; relative error of exp 7e-18.
constexpr double kExpLong[] = {0.500000000000001022,     0.166666666666666745,   0.0416666666665219907,
                               0.0083333333333222073,    0.00138888889478208914, 0.000198412698865909993,
                               0.0000248014873260123366, 2.75572423366803571e-6, 2.76326557593320308e-7,
                               2.51100498958587163e-8};
// (log((1 + s) / (1 - s)) - 2 s) / s^3 in s^2, for quotients in [sqrt(1/2), sqrt(2)].
constexpr double kLogLong[] = {0.666666666666670957, 0.399999999995195302, 0.2857142872936539,  0.222221990814043063,
                               0.181835720840640081, 0.153131494695887505, 0.148106773595922275};
constexpr double kLn2HighD = 0.693147180369123816490, kLn2LowD = 1.90821492927058770002e-10;  // high: 33 bits
constexpr double kLog2ED = 1.44269504088896340736;

template <class D>
FUNCNN_INLINE D without_tiny_long(D x) {
  return select(less_as_integers(fabs(x), D(0x1p-300)), D(0.0), x);
}

// As from_units and scale of float32; n in [-1075, 1024].
template <class D>
FUNCNN_INLINE D scale_long(D p, D shifted) {
  D normal = scale_normal_long(p, shifted);
  D sum = fma(p, from_bits((bits(shifted) << 52) + (UINT64_C(2097) << 52)), D(0x1p52));
  D r = select(less_as_integers(normal, D(std::numeric_limits<double>::min())),
               from_bits(bits(sum) - (UINT64_C(1075) << 52)), normal);
  return select(less_as_integers(D(std::numeric_limits<double>::max()), normal), D(kInfD), r);
}

// x = n log(2) + r, p = exp(r) - 1.
template <class D>
FUNCNN_INLINE Exponential<D> exponential_less_one_long(D x) {
  x = without_tiny_long(x);
  D shifted = fma(x, D(kLog2ED), D(kShiftD)), n = shifted - kShiftD;
  D r = fma(n, D(-kLn2LowD), fma(n, D(-kLn2HighD), x));
  return {fma(r * r, polynomial(r, kExpLong), r), shifted};
}
// For |x| up to log(2^1022), and for all x.
constexpr double kExpNormalD = 708.396418532264;
template <class D>
FUNCNN_INLINE D exp_normal_long(D x) {
  Exponential<D> e = exponential_less_one_long(x);
  return scale_normal_long(1.0 + e.p, e.shifted);
}
template <class D>
FUNCNN_INLINE D exp_any_long(D x) {
  Exponential<D> e = exponential_less_one_long(clamp(x, D(-745.2), D(709.9)));
  return select(x != x, x, scale_long(1.0 + e.p, e.shifted));
}
FUNCNN_INLINE double exp_f64(double x) { return exp_any_long(x); }

struct ExpLong {
  static constexpr double kUsual = kExpNormalD;
  template <class D>
  static FUNCNN_INLINE D near(D x) {
    return exp_normal_long(x);
  }
  template <class D>
  static FUNCNN_INLINE D far(D x) {
    return exp_any_long(x);
  }
};
struct Expm1Long {
  template <class D>
  static FUNCNN_INLINE D apply(D x) {
    Exponential<D> e = exponential_less_one_long(clamp(x, D(-40.0), D(709.9)));
    D half = power_of_two_shifted(e.shifted - 1.0);
    D r = 2.0 * fma(half, e.p, half - 0.5);
    return select(fabs(x) < 1e-18, x, r);  // a half would lose the last bit of the smallest
  }
};
struct SigmoidLong {
  static constexpr double kUsual = kExpNormalD;
  template <class D>
  static FUNCNN_INLINE D near(D x) {
    x = clamp(x, D(-kUsual), D(kUsual));
    return 1.0 / (1.0 + exp_normal_long(-x));
  }
  template <class D>
  static FUNCNN_INLINE D far(D x) {
    return select(x > 0.0, D(1.0), exp_any_long(x));
  }
};
// Of t = exp(2 a) - 1: t / (t + 2), and 1 - 2 / (t + 2) where that is nearer to 1.
struct TanhLong {
  template <class D>
  static FUNCNN_INLINE D apply(D x) {
    D a = fabs(x), y = select(a > 20.0, D(20.0), a), twice = y + y;
    Exponential<D> e = exponential_less_one_long(twice);
    D power = power_of_two_shifted(e.shifted), t = fma(power, e.p, power - 1.0);
    auto large = y >= 1.0;
    D q = select(large, D(2.0), t) / (t + 2.0);
    D r = select(large, 1.0 - q, select(a < 0x1p-30, a, q));
    return with_sign_long(r, x);
  }
};

// x = (1 + f) 2^e with 1 + f in [sqrt(1/2), sqrt(2)); x positive and finite.
template <class D>
FUNCNN_INLINE Split<D> split_long(D x) {
  // So many units of 2^-1074, behind the bits of 2^52.
  auto small = less_as_integers(x, D(std::numeric_limits<double>::min()));
  D units = from_bits(bits(x) | UINT64_C(0x4330000000000000)) - 4503599627370496.0;
  auto b = bits(select(small, units, x)) - UINT64_C(0x3fe6a09e667f3bcd);
  // The exponent, biased to stay positive, becomes a number through the bits of 2^52 + n.
  D e = from_bits(UINT64_C(0x4330000000000000) | ((b + (UINT64_C(1024) << 52)) >> 52)) - (4503599627370496.0 + 1024.0);
  D m = from_bits((b & UINT64_C(0xfffffffffffff)) + UINT64_C(0x3fe6a09e667f3bcd));
  return {m - 1.0, e - select(small, D(1074.0), D(0.0))};
}
// log((1 + f) 2^e) + more, where `more` is little: with s = f / (2 + f), log(1 + f) = f - f^2 / 2 + s (f^2 / 2 + ...).
template <class D>
FUNCNN_INLINE D log_of_split(Split<D> x, D more) {
  D f = x.f, s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
  D low = fma(s, half + z * polynomial(z, kLogLong), fma(x.e, D(kLn2LowD), more));
  return fma(x.e, D(kLn2HighD), f - (half - low));
}
template <class D>
FUNCNN_INLINE D log_edges_long(D x, D r) {
  r = select(x > 0.0, r, select(x == 0.0, D(-kInfD), D(kNanD)));
  return select(x == kInfD, x, r);
}
struct LogLong {
  template <class D>
  static FUNCNN_INLINE D apply(D x) {
    return log_edges_long(x, log_of_split(split_long(x), D(0.0)));
  }
};
struct Log1pLong {
  template <class D>
  static FUNCNN_INLINE D apply(D given) {
    auto small = fabs(given) < 0x1p-54;
    D x = select(small, D(0.0), given), u = 1.0 + x;
    D lost = select(x < 1.0, x - (u - 1.0), 1.0 - (u - x));
    D r = log_edges_long(u, log_of_split(split_long(u), lost / u));
    return select(small, given, r);
  }
};
struct LogaddexpLong {
  template <class D>
  static FUNCNN_INLINE D apply(D a, D b) {
    auto first = a > b;
    D high = select(first, a, b), low = select(first, b, a);
    D r = high + Log1pLong::apply(exp_f64(low - high));
    r = select((high == kInfD) | (high == -kInfD), high, r);
    return select((a != a) | (b != b), a + b, r);
  }
};

// As Erf of float32: x + x P(x^2), and 1 - exp(x Q(x)).
struct ErfLong {
  template <class D>
  static FUNCNN_INLINE D apply(D x) {
    D a = fabs(x), y = without_tiny_long(select(a > 6.0, D(6.0), a)), z = y * y;
    constexpr double p[] = {0.12837916709551257,     -0.376126389031835198,     0.112837916709441898,
                            -0.0268661706431116702,  0.00522397760611609976,    -0.000854832592904106268,
                            0.000120552935647552785, -0.0000149247120048253947, 1.64471272388822987e-6,
                            -1.62062762400234962e-7, 1.37108020127789532e-8,    -7.77910953640608504e-10};
    constexpr double q[] = {-1.12837885641912035,     -0.636622644211123632,     -0.102760391476864564,
                            0.0190968945585915218,    0.000264153516916073721,   -0.00176347540018086836,
                            0.000647725426296186449,  -0.0000573615281626083304, -0.0000589775045867600055,
                            0.0000380277872086869328, -0.0000133481533145487608, 3.25122713057222227e-6,
                            -5.74780988083282204e-7,  7.30546604586921066e-8,    -6.36201229343221842e-9,
                            3.40777910860555904e-10,  -8.47579411952566204e-12};
    D near = fma(x, polynomial(z, p), x);
    D far = 1.0 - exp_normal_long(y * polynomial(y, q));
    far = with_sign_long(far, x);
    return select(x != x, x, select(a >= 1.0, far, near));
  }
};

}  // namespace
}  // namespace funcnn::cpu::simd
