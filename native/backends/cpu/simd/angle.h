// Sines and cosines of float32, computed in float64. Everything has internal linkage: see table.h.
#pragma once

#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

// Up to here the short reduction is exact enough.
constexpr float kLargeAngle = 1.0e6f;

template <class D>
struct Angle {
  D r;                                         // in [-pi / 4, pi / 4]
  decltype(bits(std::declval<D>())) quadrant;  // only the low bits count
};
template <class D>
FUNCNN_INLINE Angle<D> reduce_angle(D y) {
  D shifted = fma(y, D(0.636619772367581343076), D(kShiftD));
  D n = shifted - kShiftD;
  // pi / 2 in two parts; the first has 33 bits, so that its product with n is exact.
  D r = fma(n, D(-6.07710050650619224932e-11), fma(n, D(-1.57079632673412561417), y));
  return {r, bits(shifted)};
}
// Of the double of a float32 beyond kLargeAngle, for which y is an integer where anything is left out below. With y =
// m 2^(27 k) and m < 2^50, y 2 / pi is m T but for a multiple of 4, where T = 2^(27 k) 2 / pi mod 4. T has three parts,
// the first two of 28 bits, so that their products with m (24 bits) are exact and whole quarters can be taken off. What
// is left is good to 2^-59, and no float32 is nearer to a multiple of pi / 2 than 2^-30 of it. Infinity gives NaN.
template <class D>
FUNCNN_INLINE Angle<D> reduce_large_angle(D y) {
  D size = fabs(y);
  auto second = size >= 0x1p50, third = size >= 0x1p77, fourth = size >= 0x1p104;
  auto part = [&](double a, double b, double c, double d) {
    D r = select(second, constant_beside(y, b), constant_beside(y, a));
    r = select(third, constant_beside(y, c), r);
    return select(fourth, constant_beside(y, d), r);
  };
  D m = y * part(1.0, 0x1p-27, 0x1p-54, 0x1p-81);
  D p = m * part(0.6366197690367699, -0.5529460534453392, 1.2910009548068047, -1.3139050975441933);
  D q = m * part(3.3308114738561656e-09, 2.1681260536920988e-09, -2.33877521516046e-09, 2.2660121418160983e-09);
  D rest = m * part(2.276010073078396e-18, -3.547445408435053e-18, 3.0053182646326145e-18, -3.189249056172172e-18);
  D whole = p + kShiftD, fraction = p - (whole - kShiftD);
  D other_whole = q + kShiftD, other = q - (other_whole - kShiftD);
  // The sum and what it loses by rounding.
  D sum = fraction + other, back = sum - fraction;
  rest = rest + ((fraction - (sum - back)) + (other - back));
  D last = sum + kShiftD, turn = (sum - (last - kShiftD)) + rest;
  return {turn * 1.57079632679489661923, bits(whole) + bits(other_whole) + bits(last)};
}
template <class D>
FUNCNN_INLINE D sin_kernel(D r) {
  D z = r * r;
  constexpr double c[] = {-1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800};
  return fma(r * z, polynomial(z, c), r);
}
template <class D>
FUNCNN_INLINE D cos_kernel(D r) {
  D z = r * r;
  constexpr double c[] = {1.0, -0.5, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800};
  return polynomial(z, c);
}
template <class D, class Q>
FUNCNN_INLINE D negate_if(D x, Q odd) {
  return from_bits(bits(x) ^ (odd << 63));
}
// As the sign of a 1: compilers vectorise comparisons of numbers everywhere.
template <class Q>
FUNCNN_INLINE auto is_odd(Q quadrant) {
  return from_bits((quadrant << 63) | UINT64_C(0x3ff0000000000000)) < 0.0;
}

// Sine and cosine for |y| <= kLargeAngle with one polynomial, since half turns leave [-pi / 2, pi / 2]; relative error
// 3e-11.
template <class D>
FUNCNN_INLINE D sin_of_half_turn(D r) {
  D z = r * r;
  constexpr double c[] = {-0.16666666626149232, 0.008333331108585171, -0.0001984086820750281, 2.7525384299575884e-06,
                          -2.3888907042465444e-08};
  return fma(r * z, polynomial(z, c), r);
}
constexpr double kPiInverse = 0.318309886183790671538;
constexpr double kPiHigh = 3.1415926534682512, kPiLow = 1.2154201013012384e-10;  // high: 31 bits
template <class D>
FUNCNN_INLINE D sin_by_half_turns(D y) {
  D shifted = fma(y, D(kPiInverse), D(kShiftD)), n = shifted - kShiftD;
  return negate_if(sin_of_half_turn(fma(n, D(-kPiLow), fma(n, D(-kPiHigh), y))), bits(shifted));
}
// The sine of a distance to an odd multiple of pi / 2.
template <class D>
FUNCNN_INLINE D cos_by_half_turns(D y) {
  D size = fabs(y), shifted = fma(size, D(kPiInverse), D(-0.5)) + kShiftD, n = (shifted - kShiftD) + 0.5;
  return negate_if(sin_of_half_turn(fma(n, D(kPiLow), fma(n, D(kPiHigh), -size))), bits(shifted));
}

// The sign is that of the result for an argument other than 0.
template <class D>
FUNCNN_INLINE D sin_of(Angle<D> a) {
  D r = select(is_odd(a.quadrant), cos_kernel(a.r), sin_kernel(a.r));
  return negate_if(r, (a.quadrant >> 1) & UINT64_C(1));
}
template <class D>
FUNCNN_INLINE D cos_of(Angle<D> a) {
  D r = select(is_odd(a.quadrant), sin_kernel(a.r), cos_kernel(a.r));
  return negate_if(r, ((a.quadrant + UINT64_C(1)) >> 1) & UINT64_C(1));
}

}  // namespace
}  // namespace funcnn::cpu::simd
