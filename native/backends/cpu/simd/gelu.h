// GELU and its derivative in float32, exact to a few ulp also in the tails. With a = |x|, M(a) the quotient of the tail
// of the normal distribution and its density phi,
//   gelu(x) = max(x, 0) - a phi M; gelu'(x) = 1 - phi (M - a) for x > 0 and phi (M - a) for x < 0.
// What multiplies phi is smooth and rational.
#pragma once

#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

// From here on both tails are zero in float32.
constexpr float kEnd = 14.65f;

// exp(-a^2 / 2) = (1 + less) * power * kFall: the power is a normal number where the density is none, and what
// multiplies it is made of coefficients times kFall.
constexpr float kFall = 0x1p-65f;
template <class F>
struct Density {
  F less, power;
};
template <class F>
FUNCNN_INLINE Density<F> density(F a) {
  constexpr float shift = kShift + 192.0f;  // the sum ends with the exponent of the power
  F shifted = fma(a * a, F(-0.721347520444481703680f), F(shift));
  auto y = wide(a), n = wide(shifted - shift);
  using W = decltype(y);
  F v = narrow(fma(n, W(2.0f * kLn2Low), fma(y, y, n * (2.0f * kLn2High))));  // a^2 + n log(4)
  constexpr float c[] = {-0.5f, 0.124999866f, -0.0208331514f, 0.002605065f, -0.000261509558f, 2.04411044e-05f};
  return {v * polynomial(v, c), from_bits(bits(shifted) << 23)};
}

// The quotients are P / (sqrt(2 pi) a P + N) and P / (sqrt(2 pi) P - N): for large a the rounding of P cancels.
constexpr float kRoot2Pi = 2.50662827463100050242f / kFall;

template <class F>
struct Tail {
  F rest, power;  // its factors, but for a
};
// `near` where the tail is a normal number. Beyond, it is counted in units of 2^-149, for which the exponent of the
// power grows by 149: see from_units.
template <class F>
FUNCNN_INLINE F to_units(F power) {
  return from_bits(bits(power) + (149u << 23));
}

struct Gelu {
  static constexpr float kUsual = 13.146246f;
  template <class F>
  static FUNCNN_INLINE F near(F x) {
    F a = at_most(fabs(x), F(kUsual)), zero(-0.0f);
    Tail<F> t = tail(a);
    return fnma(a * t.power, t.rest, select(zero > x, zero, x));
  }
  template <class F>
  static FUNCNN_INLINE F far(F x) {
    F a = at_most(fabs(x), F(kEnd));
    Tail<F> t = tail(a);
    F r = from_units(fma(a * to_units(t.power), t.rest, F(8388608.0f)));
    return select(x < 0.0f, -r, x);
  }

 private:
  template <class F>
  static FUNCNN_INLINE Tail<F> tail(F a) {
    a = not_tiny(a);
    Density<F> e = density(a);
    constexpr float p[] = {0.5f * kFall, 0.456870079f * kFall, 0.197163984f * kFall, 0.0453721285f * kFall,
                           0.00482984213f * kFall};
    constexpr float n[] = {0.458311319f, 0.114794537f, 0.012051628f, 1.2036744e-06f};  // N without its 1
    auto y = wide(a), top = polynomial(y, p);
    using W = decltype(y);
    W ratio = top / fma(y, fma(W(kRoot2Pi), top, polynomial(y, n)), W(1.0f));  // beside the exponential
    return {narrow(fma(ratio, wide(e.less), ratio)), e.power};
  }
};

struct GeluDerivative {
  static constexpr float kUsual = 13.341882f;
  template <class F>
  static FUNCNN_INLINE F near(F x) {
    Tail<F> t = tail(at_most(fabs(x), F(kUsual)));
    F r = t.rest * t.power;
    return select(x < 0.0f, r, 1.0f - r);
  }
  template <class F>
  static FUNCNN_INLINE F far(F x) {
    Tail<F> t = tail(at_most(fabs(x), F(kEnd)));
    F r = from_units(fnma(t.rest, to_units(t.power), F(8388608.0f)));
    return select(x < 0.0f, -r, select(x != x, x, F(1.0f)));
  }

 private:
  template <class F>
  static FUNCNN_INLINE Tail<F> tail(F a) {
    a = not_tiny(a);
    Density<F> e = density(a);
    // (M(a) - a) / (root - a), where the root is that of the numerator.
    constexpr float p[] = {0.665077984f * kFall, 0.776287854f * kFall, 0.39995864f * kFall, 0.104535945f * kFall,
                           0.0118770646f * kFall};
    constexpr float n[] = {0.667103291f, 0.513039649f, 0.16728285f, 0.0223803818f};
    auto y = wide(a), common = polynomial(y, p);
    using W = decltype(y);
    W top = fma(0.75179154f - y, common, -1.211444945855772e-08f * common);  // the root in two parts
    return {narrow(fma(top, wide(e.less), top) / fms(W(kRoot2Pi), common, polynomial(y, n))), e.power};
  }
};

}  // namespace
}  // namespace funcnn::cpu::simd
