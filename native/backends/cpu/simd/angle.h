// Sines and cosines of float32, computed in float64. Everything has internal linkage: see table.h.
#pragma once

#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

// Up to here the reduction below is exact enough; beyond, libm takes over.
constexpr float kLargeAngle = 1.0e6f;

struct Angle {
  double r;          // in [-pi / 4, pi / 4]
  int64_t quadrant;  // only the low bits count
};
FUNCNN_INLINE Angle reduce_angle(float x) {
  double y = double(x);
  double shifted = fma(y, 0.636619772367581343076, kShiftD);
  double n = shifted - kShiftD;
  // pi / 2 in two parts; the first has 33 bits, so that its product with n is exact.
  double r = fma(n, -6.07710050650619224932e-11, fma(n, -1.57079632673412561417, y));
  return {r, bits(shifted)};
}
FUNCNN_INLINE double sin_kernel(double r) {
  double z = r * r;
  constexpr double c[] = {-1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800};
  return fma(r * z, polynomial(z, c), r);
}
FUNCNN_INLINE double cos_kernel(double r) {
  double z = r * r;
  constexpr double c[] = {1.0, -0.5, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800};
  return polynomial(z, c);
}
FUNCNN_INLINE double negate_if(double x, uint64_t odd) { return from_bits(int64_t(uint64_t(bits(x)) ^ (odd << 63))); }

// The sign is that of the result for an argument other than 0.
FUNCNN_INLINE double sin_of(Angle a) {
  double r = (a.quadrant & 1) != 0 ? cos_kernel(a.r) : sin_kernel(a.r);
  return negate_if(r, (uint64_t(a.quadrant) >> 1) & 1);
}
FUNCNN_INLINE double cos_of(Angle a) {
  double r = (a.quadrant & 1) != 0 ? sin_kernel(a.r) : cos_kernel(a.r);
  return negate_if(r, (uint64_t(a.quadrant + 1) >> 1) & 1);
}

}  // namespace
}  // namespace funcnn::cpu::simd
