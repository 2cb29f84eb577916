// Building blocks of the transcendental functions, written so that loops over them vectorise: no branches, no calls.
// Functions of float32 that are hard in float32 are computed in float64 with polynomials good to about 1e-10.
// Coefficients are minimax fits (Lawson's iteration in 40-digit arithmetic) over the ranges named.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>

#include "backends/cpu/simd/loops.h"

namespace funcnn::cpu::simd {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr double kInfD = std::numeric_limits<double>::infinity();
constexpr double kNanD = std::numeric_limits<double>::quiet_NaN();

FUNCNN_INLINE int32_t bits(float x) { return __builtin_bit_cast(int32_t, x); }
FUNCNN_INLINE float from_bits(int32_t x) { return __builtin_bit_cast(float, x); }
FUNCNN_INLINE int64_t bits(double x) { return __builtin_bit_cast(int64_t, x); }
FUNCNN_INLINE double from_bits(int64_t x) { return __builtin_bit_cast(double, x); }

// For sums of products that have to be good to a rounding or two: float32 where these are fused.
#if defined(FUNCNN_FMA)
using Wide = float;
#else
using Wide = double;
#endif

template <class T, int n>
FUNCNN_INLINE T polynomial(T x, const T (&c)[n]) {
  T r = c[n - 1];
#pragma GCC unroll 16
  for (int i = n - 2; i >= 0; --i) r = fma(r, x, c[i]);
  return r;
}

// Of x >= 0, whose order is that of its bits: NaN becomes `high`.
FUNCNN_INLINE float at_most(float x, float high) { return from_bits(bits(x) < bits(high) ? bits(x) : bits(high)); }
// NaN stays.
FUNCNN_INLINE float clamp(float x, float low, float high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}
FUNCNN_INLINE double clamp(double x, double low, double high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}
FUNCNN_INLINE float with_sign(float magnitude, float sign) {
  return from_bits(int32_t((bits(magnitude) & 0x7fffffff) | (bits(sign) & int32_t(0x80000000u))));
}

// The nearest integer, as a float and in the low bits of the sum's representation, for |x| < 2^22 (2^51).
constexpr float kShift = 12582912.0f;
constexpr double kShiftD = 6755399441055744.0;
FUNCNN_INLINE float nearest(float x) { return (x + kShift) - kShift; }
FUNCNN_INLINE double nearest(double x) { return (x + kShiftD) - kShiftD; }

// 2^n for integral n in [-126, 127]; for n = shifted - kShiftD in [-1022, 1023].
FUNCNN_INLINE float power_of_two(float n) {
  return from_bits(int32_t((uint32_t(bits(n + kShift)) << 23) + 0x3f800000u));
}
FUNCNN_INLINE double power_of_two(double shifted) {
  return from_bits(int64_t((uint64_t(bits(shifted)) << 52) + 0x3ff0000000000000ull));
}
// p * 2^n for n = shifted - kShift in [-252, 254], exact but for the last rounding: two factors of half the exponent.
FUNCNN_INLINE float scale(float p, float shifted) {
  uint32_t n = uint32_t(bits(shifted)) - 0x4b400000u;
  uint32_t half = uint32_t(int32_t(n) >> 1);
  return p * from_bits(int32_t((half << 23) + 0x3f800000u)) * from_bits(int32_t(((n - half) << 23) + 0x3f800000u));
}

// (exp(r) - 1 - r) / r^2 for |r| <= log(2) / 2; relative error of exp 3e-9.
constexpr float kExp[] = {0.500000009969231287f, 0.166665186126761274f, 0.041666193044246616f, 0.00836891210372543695f,
                          0.00139512543998481467f};
constexpr double kExpD[] = {0.499999999995999638,   0.166666666665796482,   0.0416666669905731667,
                            0.00833333338417830433, 0.00138888073871449389, 0.000198411683429379567,
                            0.00002488235949759962, 2.76417031881223511e-6};
// (2^r - 1) / r for |r| <= 1/2, in float32 without its first coefficient: with that apart, the sum is monotone.
constexpr Wide kExp2Slope = 0.693147182f;
constexpr Wide kExp2[] = {0.240226477f, 0.0555035956f, 0.00961849932f, 0.00133909704f, 0.000153292698f};
constexpr double kExp2D[] = {0.693147180559951749,     0.240226506957154813,   0.0555041086642987026,
                             0.00961812918324101602,   0.00133335582542981302, 0.000154034393162332646,
                             0.0000152526437144879949, 1.32586850877310729e-6, 1.02111676719314331e-7};
// (log(1 + f) - f + f^2 / 2) / f^3 for 1 + f in [sqrt(1/2), sqrt(2)].
constexpr float kLog[] = {0.333333104691753285f,  -0.249999864508243696f, 0.200022244166974484f,
                          -0.166692780333518046f, 0.142187464381685871f,  -0.123837403628943907f,
                          0.118714838201071898f,  -0.117933356624141825f, 0.0692360528222054992f};

constexpr float kLn2High = 0.693145751953125f, kLn2Low = 1.428606765330187e-06f;  // high: 15 bits
constexpr double kLn2D = 0.693147180559945309417;

FUNCNN_INLINE float exp_f32(float x) {
  x = clamp(x, -104.0f, 89.0f);
  float shifted = fma(x, 1.44269504088896341f, kShift);
  float n = shifted - kShift;
  float r = fma(n, -kLn2Low, fma(n, -kLn2High, x));
  return scale(1.0f + fma(r * r, polynomial(r, kExp), r), shifted);
}

FUNCNN_INLINE float expm1_f32(float x) {
  float y = clamp(x, -20.0f, 89.0f);
  float n = fma(y, 1.44269504088896341f, kShift) - kShift;
  float r = fma(n, -kLn2Low, fma(n, -kLn2High, y));
  float p = fma(r * r, polynomial(r, kExp), r);
  float half = power_of_two(n - 1.0f);
  float e = 2.0f * fma(half, p, half - 0.5f);
  return x == 0.0f ? x : e;
}

// 2^(a b) for |a b| < 120 with a relative error of 2e-7: for what is added to something larger. Monotone.
constexpr float kExp2Short[] = {0.693147004f, 0.240222454f, 0.0555070676f, 0.00967136025f, 0.00132713537f};
FUNCNN_INLINE float exp2_reduced(float r, float shifted) {
  float p = fma(r, polynomial(r, kExp2Short), 1.0f);
  return from_bits(int32_t(uint32_t(bits(p)) + (uint32_t(bits(shifted)) << 23)));
}
FUNCNN_INLINE float exp2_product(float a, float b) {
  float shifted = fma(a, b, kShift);
  return exp2_reduced(fma(a, b, kShift - shifted), shifted);
}
// 2^(a (b + rest)), where the rest is what b lost by rounding.
FUNCNN_INLINE float exp2_product(float a, float b, float rest) {
  float shifted = fma(a, b, kShift);
  float r = float(fma(Wide(a), Wide(b), Wide(kShift - shifted)));
  return exp2_reduced(fma(a, rest, r), shifted);
}

// x = (1 + f) 2^e with 1 + f in [sqrt(1/2), sqrt(2)); x positive and finite, subnormal numbers included.
struct Split {
  float f, e;
};
FUNCNN_INLINE Split split(float x) {
  bool small = x < std::numeric_limits<float>::min();
  float y = small ? x * 33554432.0f : x;  // 2^25
  int32_t b = int32_t(uint32_t(bits(y)) - 0x3f3504f3u);
  float e = float(b >> 23) - (small ? 25.0f : 0.0f);
  return {from_bits((b & 0x7fffff) + 0x3f3504f3) - 1.0f, e};
}
FUNCNN_INLINE float log_edges(float x, float r) {
  r = x == kInf ? kInf : r;
  r = x == 0.0f ? -kInf : r;
  r = x < 0.0f ? kNan : r;
  return x != x ? x : r;
}
// log(1 + f) - f
FUNCNN_INLINE float log_rest(float f) {
  float f2 = f * f;
  return fma(f * f2, polynomial(f, kLog), -0.5f * f2);
}
FUNCNN_INLINE float log_f32(float x) {
  Split s = split(x);
  float r = fma(s.e, kLn2High, s.f + fma(s.e, kLn2Low, log_rest(s.f)));
  return log_edges(x, r);
}

// float64, good to about 1e-14, for functions of float32. |x| < 700.
FUNCNN_INLINE double exp_inner(double x) {
  double shifted = fma(x, 1.44269504088896340736, kShiftD), n = shifted - kShiftD;
  double r = fma(n, -1.90821492927058770002e-10, fma(n, -0.693147180369123816490, x));
  double p = 1.0 + fma(r * r, polynomial(r, kExpD), r);
  return p * power_of_two(shifted);
}
FUNCNN_INLINE double exp2_inner(double x) {
  double shifted = x + kShiftD, r = x - (shifted - kShiftD);
  return fma(r, polynomial(r, kExp2D), 1.0) * power_of_two(shifted);
}
// log(x) of a normal positive finite number, absolute error about 1e-11 times the larger of 1 and |f|.
FUNCNN_INLINE double log_inner(double x) {
  int64_t b = int64_t(uint64_t(bits(x)) - 0x3fe6a09e667f3bcdull);
  // The exponent, biased to stay positive, becomes a number through the bits of 2^52 + n.
  uint64_t biased = (uint64_t(b) + (1024ull << 52)) >> 52;
  double e = from_bits(int64_t(0x4330000000000000ull | biased)) - (4503599627370496.0 + 1024.0);
  double m = from_bits(int64_t((b & 0xfffffffffffffll) + 0x3fe6a09e667f3bcdll));
  double s = (m - 1.0) / (m + 1.0), z = s * s;
  constexpr double c[] = {2.0, 2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13};
  return fma(e, kLn2D, s * polynomial(z, c));
}
// log(1 + t) for t > -1; relative error about 1e-10 (t is the exact double of something computed in float64).
FUNCNN_INLINE double log1p_inner(double t) {
  double small = t * fma(t, fma(t, 1.0 / 3, -0.5), 1.0);
  double large = log_inner(1.0 + t);
  return (t < 1e-4) & (t > -1e-4) ? small : large;
}

// The odd polynomial of arctan for |t| <= tan(pi / 8).
constexpr double kAtan[] = {-0.333333332964330729,  0.199999944122234778,  -0.142854268909483765, 0.111040603792277281,
                            -0.0899733256307889519, 0.0699332691626812838, -0.0379596459147292727};
constexpr double kPi = 3.14159265358979323846;
FUNCNN_INLINE double atan_unit(double t) {  // t in [0, 1]
  bool upper = t > 0.41421356237309503;
  double u = upper ? (t - 1.0) / (t + 1.0) : t;
  double z = u * u;
  double r = fma(u * z, polynomial(z, kAtan), u);
  return upper ? r + kPi / 4 : r;
}
// As std::atan2 for finite or infinite arguments, not both zero or both infinite (which give the axis y = +-x = 0).
FUNCNN_INLINE double atan2_inner(double y, double x) {
  double ay = y < 0 ? -y : y, ax = x < 0 ? -x : x;
  bool steep = ay > ax;
  double low = steep ? ax : ay, high = steep ? ay : ax;
  double t = low / high;
  t = low == 0.0 ? 0.0 : t;
  t = low == kInfD ? 1.0 : t;
  double r = atan_unit(t);
  r = steep ? kPi / 2 - r : r;
  r = bits(x) < 0 ? kPi - r : r;
  r = from_bits(int64_t(uint64_t(bits(r)) | (uint64_t(bits(y)) & 0x8000000000000000ull)));
  return (x != x) | (y != y) ? kNanD : r;
}

}  // namespace
}  // namespace funcnn::cpu::simd
