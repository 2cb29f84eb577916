// GELU and its derivative in float32, exact to a few ulp also in the tails. With a = |x|, M(a) the quotient of the tail
// of the normal distribution and its density phi,
//   gelu(x) = x - a phi M for x > 0 and -a phi M for x < 0; gelu'(x) = 1 - phi (M - a) and phi (M - a).
// phi is exp(-a^2 / 2) from a square in two parts, as fdlibm's erfc has it; what multiplies it is smooth and rational.
#pragma once

#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

// From here on both tails are zero in float32.
constexpr float kEnd = 14.65f;

// exp(-a^2 / 2) = (1 + less) * 2^(shifted - kShift).
template <class F>
struct Scaled {
  F less, shifted;
};
template <class F>
FUNCNN_INLINE Scaled<F> density(F a) {
  F high = from_bits(bits(a) & 0xfffff000u);
  F square = high * high;
  F shifted = fma(square, F(-0.721347520444481703680f), F(kShift));
  F n = shifted - kShift;
  F v = fma(a - high, a + high, fma(n, F(2.0f * kLn2Low), fma(n, F(2.0f * kLn2High), square)));
  constexpr float c[] = {-0.5f, 0.124999866f, -0.0208331514f, 0.002605065f, -0.000261509558f, 2.04411044e-05f};
  return {v * polynomial(v, c), shifted};
}

// The quotients are P / (sqrt(2 pi) a P + N) and P / (sqrt(2 pi) P - N): for large a the rounding of P cancels.
constexpr float kRoot2Pi = 2.50662827463100050242f;

struct Gelu {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    F a = at_most(fabs(x), F(kEnd));
    Scaled<F> e = density(a);
    constexpr float p[] = {0.456870079f, 0.197163984f, 0.0453721285f, 0.00482984213f};  // P without its 0.5
    constexpr float n[] = {0.458311319f, 0.114794537f, 0.012051628f, 1.2036744e-06f};   // N without its 1
    auto y = wide(a), top = fma(y * y, polynomial(y, p), 0.5f * y);                     // a P
    using W = decltype(y);
    W bottom = 1.0f + fma(W(kRoot2Pi), top, y * polynomial(y, n));
    F tail = scale(narrow(fma(top, wide(e.less), top) / bottom), e.shifted);
    return select(x < 0.0f, -tail, x - tail);
  }
};

struct GeluDerivative {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    F a = at_most(fabs(x), F(kEnd));
    Scaled<F> e = density(a);
    // (M(a) - a) / (root - a), where the root is that of the numerator.
    constexpr float p[] = {0.665077984f, 0.776287854f, 0.39995864f, 0.104535945f, 0.0118770646f};
    constexpr float n[] = {0.667103291f, 0.513039649f, 0.16728285f, 0.0223803818f};
    auto y = wide(a), common = polynomial(y, p);
    using W = decltype(y);
    W top = fma(0.75179154f - y, common, -1.211444945855772e-08f * common);  // the root in two parts
    F tail = scale(narrow(fma(top, wide(e.less), top) / fms(W(kRoot2Pi), common, polynomial(y, n))), e.shifted);
    F r = select(x < 0.0f, tail, 1.0f - tail);
    return select(x != x, x, r);
  }
};

}  // namespace
}  // namespace funcnn::cpu::simd
