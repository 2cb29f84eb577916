// Powers of float64, through a logarithm that is good to 2^-63.
#pragma once

#include "backends/cpu/simd/double_normal.h"

namespace funcnn::cpu::simd {
namespace {

// (log((1 + s) / (1 - s)) - 2 s - 2 s^3 / 3) / s^5 in s^2, for quotients in [sqrt(1/2), sqrt(2)].
constexpr double kLogFifth[] = {0.40000000000000024, 0.28571428571338325, 0.22222222271185313, 0.18181808234003144,
                                0.15385575782820043, 0.13285924657242199, 0.1291402271694836};

template <class D>
struct TwoParts {
  D high, low;
};
template <class D>
FUNCNN_INLINE TwoParts<D> two_sum(D a, D b) {  // |a| >= |b|, or a = 0
  D sum = a + b;
  return {sum, b - (sum - a)};
}
// log(x) of a positive finite number.
template <class D>
FUNCNN_INLINE TwoParts<D> log_in_parts(D x) {
  Split<D> of = split_long(x);
  D f = of.f, d = 2.0 + f, d_low = f - (d - 2.0), inverse = 1.0 / d;
  // s = f / (2 + f), its square and its cube, and what each has lost.
  D s = f * inverse, product = s * d;
  D s_low = (((f - product) - product_rest(s, d, product)) - s * d_low) * inverse;
  D z = s * s, z_low = product_rest(s, s, z) + 2.0 * (s * s_low);
  D cube = s * z, cube_low = product_rest(s, z, cube) + fma(s, z_low, s_low * z);
  constexpr double two_thirds = 2.0 / 3, rest_of_two_thirds = 3.700743415417188e-17;
  D third = cube * two_thirds;
  D third_low = product_rest(cube, D(two_thirds), third) + fma(cube_low, D(two_thirds), cube * rest_of_two_thirds);
  D fifth = cube * z * polynomial(z, kLogFifth);
  TwoParts<D> a = two_sum(of.e * kLn2HighD, s + s), b = two_sum(a.high, third);
  D low = (((s_low + s_low) + third_low) + fma(of.e, D(kLn2LowD), fifth)) + (a.low + b.low);
  return two_sum(b.high, low);
}

struct PowerLong {
  template <class D>
  static FUNCNN_INLINE D apply(D x, D y) {
    D a = fabs(x), size = fabs(y);
    TwoParts<D> l = log_in_parts(a);
    D log = select(a == 0.0, D(-kInfD), select(a < kInfD, l.high, a));
    D product = y * log, exponent = clamp(product, D(-745.2), D(709.9));
    // What was cut off is so far out that nothing else counts.
    D rest = select(exponent == product, product_rest(y, log, product) + y * l.low, D(0.0));
    Exponential<D> e = exponential_of_sum(exponent, rest);
    D r = select(product != product, product, scale_long(e.p, e.shifted));
    auto integral = floor(y) == y;
    auto odd = integral & (floor(y * 0.5) * 2.0 != y);
    r = select((x < 0.0) & !integral & (a != kInfD), D(kNanD), r);
    r = select(is_negative(x) & odd, -r, r);
    r = select((y == 0.0) | (x == 1.0), D(1.0), r);
    return select((a == 1.0) & (size == kInfD), D(1.0), r);
  }
};

}  // namespace
}  // namespace funcnn::cpu::simd
