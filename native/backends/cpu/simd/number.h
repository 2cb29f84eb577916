// Numbers as the function templates of this folder want them: floats, doubles and integers here, and in jit/value.h
// types of which each operation is written down. Everything has internal linkage: see table.h.
#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <type_traits>

#include "backends/cpu/simd/fma.h"
#include "base/inline.h"

namespace funcnn::cpu::simd {
namespace {

template <class T>
concept Floating = std::floating_point<T> || requires { typename T::Floating; };
template <class T>
concept Signed = std::is_signed_v<T> || requires { typename T::Signed; };

// Of an integer: the unsigned type of its width; the type in which its products wrap, which is at least as wide as int,
// where multiplication would otherwise happen.
template <class T>
struct Kin {
  using Unsigned = std::make_unsigned_t<T>;
  using Product = std::conditional_t<(sizeof(T) < 4), uint32_t, Unsigned>;
};

// Sums of products that have to be good to a rounding or two are float32 where these are fused.
#if defined(FUNCNN_FMA)
using Wide = float;
#else
using Wide = double;
#endif
FUNCNN_INLINE Wide wide(float x) { return x; }
FUNCNN_INLINE double widen(float x) { return x; }
FUNCNN_INLINE float narrow(float x) { return x; }
FUNCNN_INLINE float narrow(double x) { return float(x); }

// A constant where nothing but constants would meet: what is written down has a place beside another number.
FUNCNN_INLINE double constant_beside(double, double constant) { return constant; }

template <class T>
  requires std::is_arithmetic_v<T>
FUNCNN_INLINE T select(bool condition, T a, T b) {
  return condition ? a : b;
}

// a * b - c and c - a * b, as `fma` has them.
template <class T>
FUNCNN_INLINE T fms(T a, T b, T c) {
  return fma(a, b, -c);
}
template <class T>
FUNCNN_INLINE T fnma(T a, T b, T c) {
  return fma(-a, b, c);
}

// What a product has lost by rounding.
FUNCNN_INLINE double product_rest(double a, double b, double product) {
#if defined(FUNCNN_FMA)
  return fma(a, b, -product);
#else
  // T. J. Dekker, 1971: halves of 26 bits, whose products are exact.
  double x = 134217729.0 * a, y = 134217729.0 * b, a_high = x - (x - a), b_high = y - (y - b);
  double a_low = a - a_high, b_low = b - b_high;
  double rest = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
  return product == 0.0 ? 0.0 : rest;  // the halves of a huge number beside a zero overflow
#endif
}

FUNCNN_INLINE float sqrt(float x) { return std::sqrt(x); }
FUNCNN_INLINE double sqrt(double x) { return std::sqrt(x); }
FUNCNN_INLINE float fabs(float x) { return std::fabs(x); }
FUNCNN_INLINE double fabs(double x) { return std::fabs(x); }
FUNCNN_INLINE float floor(float x) { return std::floor(x); }
FUNCNN_INLINE double floor(double x) { return std::floor(x); }
FUNCNN_INLINE float ceil(float x) { return std::ceil(x); }
FUNCNN_INLINE double ceil(double x) { return std::ceil(x); }
FUNCNN_INLINE float trunc(float x) { return std::trunc(x); }
FUNCNN_INLINE double trunc(double x) { return std::trunc(x); }
FUNCNN_INLINE float nearbyint(float x) { return std::nearbyint(x); }
FUNCNN_INLINE double nearbyint(double x) { return std::nearbyint(x); }

FUNCNN_INLINE uint32_t bits(float x) { return __builtin_bit_cast(uint32_t, x); }
FUNCNN_INLINE uint64_t bits(double x) { return __builtin_bit_cast(uint64_t, x); }
FUNCNN_INLINE float from_bits(uint32_t x) { return __builtin_bit_cast(float, x); }
FUNCNN_INLINE double from_bits(uint64_t x) { return __builtin_bit_cast(double, x); }
FUNCNN_INLINE bool is_negative(float x) { return __builtin_bit_cast(int32_t, x) < 0; }  // -0 and -NaN as well
FUNCNN_INLINE bool is_negative(double x) { return __builtin_bit_cast(int64_t, x) < 0; }

// Unsigned integers taken for signed ones.
FUNCNN_INLINE float from_signed(uint32_t x) { return float(int32_t(x)); }
FUNCNN_INLINE uint32_t shift_signed(uint32_t x, int n) { return uint32_t(int32_t(x) >> n); }

// Of x >= 0, whose order is that of its bits: NaN becomes `high`.
FUNCNN_INLINE float at_most(float x, float high) {
  int32_t a = __builtin_bit_cast(int32_t, x), b = __builtin_bit_cast(int32_t, high);
  return __builtin_bit_cast(float, a < b ? a : b);
}
// NaN stays.
FUNCNN_INLINE float at_least(float x, float low) {
  int32_t a = __builtin_bit_cast(int32_t, x), b = __builtin_bit_cast(int32_t, low);
  return __builtin_bit_cast(float, a > b ? a : b);
}

// The order of the bits as signed integers: that of numbers of which one is not negative, and NaN is above them.
FUNCNN_INLINE bool less_as_integers(float a, float b) {
  return __builtin_bit_cast(int32_t, a) < __builtin_bit_cast(int32_t, b);
}
FUNCNN_INLINE bool less_as_integers(double a, double b) {
  return __builtin_bit_cast(int64_t, a) < __builtin_bit_cast(int64_t, b);
}

}  // namespace
}  // namespace funcnn::cpu::simd
