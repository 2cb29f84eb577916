// Sines and cosines of float32, computed in float64. Everything has internal linkage: see table.h.
#pragma once

#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

// Up to here the reduction below is exact enough; beyond, libm takes over.
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
