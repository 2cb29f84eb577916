// What arcsin and arccos have in common, in float32 and float64.
#pragma once

#include <cstddef>

#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

// arcsin of a up to 1/2, elsewhere of sqrt((1 - a) / 2), half of the angle that is left to pi / 2. The coefficients
// are those of (arcsin(s) / s - 1) / s^2 in s^2.
template <class D, size_t N>
FUNCNN_INLINE D arcsin_part(D a, const double (&c)[N]) {
  auto far = a > 0.5;
  D z = select(far, 0.5 - 0.5 * a, a * a), s = select(far, sqrt(z), a);
  return fma(s * z, polynomial(z, c), s);
}

}  // namespace
}  // namespace funcnn::cpu::simd
