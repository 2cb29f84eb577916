// Functions whose results float16 or bfloat16 will hold: relative errors below 6e-5, an eighth of what rounding to
// float16 takes, with limits, order, symmetry and NaN as those of float32 have them.
#pragma once

#include "backends/cpu/simd/exponential.h"
#include "backends/cpu/simd/gelu.h"

namespace funcnn::cpu::simd {
namespace {

// 2^(a b), where that is a normal number; times 2^n for a shift of kShift + n.
template <class F>
FUNCNN_INLINE F exp2_product_for_half(F a, F b, float shift = kShift) {
  constexpr float c[] = {0.999999261f, 0.693121794f, 0.240247463f, 0.0559180293f, 0.00957009026f};
  F shifted = fma(a, b, F(shift));
  return scale_normal(polynomial(fma(a, b, shift - shifted), c), shifted);
}
constexpr float kLog2E = 1.44269504088896341f;

struct HalfExp {
  static constexpr float kUsual = 87.0f;
  template <class F>
  static FUNCNN_INLINE F near(F x) {
    return exp2_product_for_half(without_tiny(x), F(kLog2E));
  }
  template <class F>
  static FUNCNN_INLINE F far(F x) {
    return exp_any(x);
  }
};
struct HalfSigmoid {
  static constexpr float kUsual = 87.0f;
  template <class F>
  static FUNCNN_INLINE F near(F x) {
    return 1.0f / (1.0f + exp2_product_for_half(without_tiny(x), F(-kLog2E)));
  }
  template <class F>
  static FUNCNN_INLINE F far(F x) {
    return Sigmoid::far(x);
  }
};
struct HalfTanh {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    F a = fabs(x), some = not_tiny(a), z = some * some;
    F far = 1.0f - 2.0f / (exp2_product_for_half(at_most(some, F(15.0f)), F(2.0f * kLog2E)) + 1.0f);
    F near = fma(a, z * fma(z, F(0.124629569f), F(-0.333010335f)), a);
    return with_sign(select(a >= 0.35f, far, near), x);
  }
};
struct HalfErf {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    F a = fabs(x), y = at_most(not_tiny(a), F(4.05f));
    constexpr float p[] = {1.12837724f, -0.375997706f, 0.111492641f, -0.0222887975f};
    constexpr float q[] = {-1.60299008f, -0.994631211f, -0.0709523146f};
    F far = 1.0f - exp2_product_for_half(y, polynomial(y, q));
    return select(a >= 0.7f, with_sign(far, x), x * polynomial(y * y, p));
  }
};

// exp(-a^2 / 2) / kFall, which is a normal number where the density is none: what multiplies it has the other factor.
template <class F>
FUNCNN_INLINE F density_for_half(F a) {
  return exp2_product_for_half(a * a, F(-0.5f * kLog2E), kShift + 65.0f);
}
struct HalfGelu {
  static constexpr float kUsual = Gelu::kUsual;
  template <class F>
  static FUNCNN_INLINE F near(F x) {
    F a = fabs(x), y = not_tiny(a), zero(-0.0f);
    constexpr float p[] = {0.50001264f * kFall, 0.279217927f * kFall, 0.0629268803f * kFall};
    constexpr float q[] = {1.0f, 1.35709984f, 0.70481674f, 0.157567345f};
    F quotient = polynomial(y, p) / polynomial(y, q);
    return fnma(a * density_for_half(y), quotient, select(zero > x, zero, x));
  }
  template <class F>
  static FUNCNN_INLINE F far(F x) {
    return Gelu::far(x);
  }
};
struct HalfGeluDerivative {
  static constexpr float kUsual = GeluDerivative::kUsual;
  template <class F>
  static FUNCNN_INLINE F near(F x) {
    F a = not_tiny(fabs(x));
    constexpr float p[] = {0.665047331f * kFall, 0.482102689f * kFall, 0.119706808f * kFall};
    constexpr float q[] = {1.0f, 0.989443584f, 0.299796215f};
    F r = density_for_half(a) * ((0.751791525f - a) * (polynomial(a, p) / polynomial(a, q)));
    return select(x < 0.0f, r, 1.0f - r);
  }
  template <class F>
  static FUNCNN_INLINE F far(F x) {
    return GeluDerivative::far(x);
  }
};

}  // namespace
}  // namespace funcnn::cpu::simd
