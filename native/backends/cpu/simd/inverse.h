// Inverse trigonometric functions of float32. What is rounded before the last sum is small beside the result, or comes
// with what it lost. Everything has internal linkage: see table.h.
#pragma once

#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

constexpr float kHalfPiHigh = 1.57079637f, kHalfPiLow = -4.37113883e-8f;

// arctan(t) / t - kArctanSlope in t^2, for t in [0, 1]; relative error of arctan 3e-9. The slope is about that between
// 0 and 1, so that the rest is small everywhere.
constexpr float kArctanSlope = 0.875f;
constexpr float kArctan[] = {1.0f - kArctanSlope, -0.333332986f, 0.199985296f,   -0.142640144f, 0.109508611f,
                             -0.0839920789f,      0.0578788705f, -0.0310935341f, 0.0108662723f, -0.00178214512f};
// At 1 a quarter of pi lies almost in the middle of two numbers, and the polynomial just on the other side.
template <class W>
FUNCNN_INLINE W arctan_rest(W z) {
  return polynomial(z, kArctan) + select(z == 1.0f, W(8e-9f), W(0.0f));
}
// base + kArctanSlope t + rest
template <class W>
FUNCNN_INLINE W arctan_sum(W base, W t, W rest) {
  W high = fma(t, W(kArctanSlope), base);
  return high + (fma(t, W(kArctanSlope), base - high) + rest);
}
struct Arctan {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    F a = fabs(x);
    auto some = wide(not_tiny(a));
    using W = decltype(some);
    auto steep = a > 1.0f;
    W size = select(some < 0x1p60f, some, W(0x1p60f)), inverse = -1.0f / size, t = select(steep, inverse, some);
    // What the quotient lost counts for 1 / (1 + t^2) of it.
    W lost = fma(fma(inverse, size, W(1.0f)), 0.55f * inverse, W(kHalfPiLow));
    W rest = fma(t, arctan_rest(t * t), select(steep, lost, W(0.0f)));
    F r = narrow(arctan_sum(select(steep, W(kHalfPiHigh), W(0.0f)), t, rest));
    return with_sign(select(a < kTiny, a, r), x);
  }
};
struct Arctan2 {
  template <class F>
  static FUNCNN_INLINE auto rare(F y, F x) {
    F a = fabs(x), b = fabs(y), low = at_most(a, b), high = at_least(a, b);
    return ((low > 0.0f) & less_as_integers(low, F(kLeast))) | less_as_integers(high, F(kLeast)) |
           less_as_integers(F(1.0f / kLeast), high);
  }
  template <class F>
  static FUNCNN_INLINE F near(F y, F x) {
    F a = fabs(x), b = fabs(y);
    auto steep = b > a, behind = x < 0.0f;
    auto over = wide(select(steep, -x, with_sign(b, x))), under = wide(at_least(a, b));
    using W = decltype(over);
    W inverse = 1.0f / under, t = over * inverse, z = t * t;
    // As above, and a line is near enough.
    W lost = fnma(t, under, over) * inverse * fnma(z, W(0.5f), W(0.957f));
    W rest = fma(t, arctan_rest(z), lost);
    W base = select(steep, W(kHalfPiHigh), select(behind, W(2.0f * kHalfPiHigh), W(0.0f)));
    W low = select(steep, W(kHalfPiLow), select(behind, W(2.0f * kHalfPiLow), W(0.0f)));
    return with_sign(narrow(arctan_sum(base, t, rest + low)), y);
  }
  template <class F>
  static FUNCNN_INLINE F far(F y, F x) {
    return narrow(atan2_inner(widen(y), widen(x)));
  }

 private:
  static constexpr float kLeast = 0x1p-31f;  // the square of a quotient is a normal number or 0
};

// arcsin of a up to 1/2, elsewhere of sqrt((1 - a) / 2), half of the angle that is left to pi / 2. The coefficients
// are those of (arcsin(s) / s - 1) / s^2 in s^2; relative error 5e-9.
constexpr float kArcsin[] = {0.166667521f, 0.0749530941f, 0.0454691499f, 0.0241847821f, 0.0421582907f};
// What twice the root has lost.
template <class W>
FUNCNN_INLINE W lost_by_root(W square, W root) {
  return fnma(root, root, square) / (root + 1e-20f);
}
// base + t + rest, where the base is the larger or 0.
template <class W>
FUNCNN_INLINE W sum_with_rest(W base, W t, W rest) {
  W high = base + t;
  return high + (((base - high) + t) + rest);
}
struct Arcsin {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    F a = fabs(x);
    auto far = a > 0.5f;
    auto square = wide(0.5f - 0.5f * a), small = wide(without_tiny(a));
    using W = decltype(square);
    W root = sqrt(square), z = select(far, square, small * small), t = select(far, -2.0f * root, small);
    W low = select(far, kHalfPiLow - lost_by_root(square, root), W(0.0f));
    W rest = fma(t * z, polynomial(z, kArcsin), low), base = select(far, W(kHalfPiHigh), W(0.0f));
    return with_sign(select(a < kTiny, a, narrow(sum_with_rest(base, t, rest))), x);
  }
};
struct Arccos {
  template <class F>
  static FUNCNN_INLINE F apply(F x) {
    F a = fabs(x);
    auto far = a > 0.5f, behind = x < -0.5f;
    auto square = wide(0.5f - 0.5f * a), small = wide(without_tiny(x));
    using W = decltype(square);
    W root = sqrt(square), z = select(far, square, small * small);
    // From the nearest of 0, a quarter and half a turn.
    W lost = lost_by_root(square, root);
    W t = select(far, select(behind, -2.0f * root, 2.0f * root), -small);
    W low = select(far, select(behind, 2.0f * kHalfPiLow - lost, lost), W(kHalfPiLow));
    W base = select(far, select(behind, W(2.0f * kHalfPiHigh), W(0.0f)), W(kHalfPiHigh));
    return narrow(sum_with_rest(base, t, fma(t * z, polynomial(z, kArcsin), low)));
  }
};

}  // namespace
}  // namespace funcnn::cpu::simd
