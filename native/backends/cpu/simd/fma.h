// Products fused with sums. The compiler joins none by itself (the kernels are built without contraction), so where a
// result is rounded can be read in the source and is the same for all instruction sets that have the instruction.
#pragma once

#include "base/inline.h"

#if defined(__FMA__)
#include <immintrin.h>
#elif defined(__ARM_FEATURE_FMA) && defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define FUNCNN_FMA 1
#endif

// Before a loop of constant length whose variables belong into registers.
#if defined(__clang__)
#define FUNCNN_UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define FUNCNN_UNROLL _Pragma("GCC unroll 16")
#else
#define FUNCNN_UNROLL
#endif

// Loops and accumulators over vectors that the compiler knows as a type, which GCC and Clang offer.
#if defined(__GNUC__)
#define FUNCNN_VECTORS 1
#if defined(__AVX512F__)
#define FUNCNN_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define FUNCNN_VECTOR_BYTES 32
#else
#define FUNCNN_VECTOR_BYTES 16
#endif
#endif

namespace funcnn::cpu::simd {
namespace {

// a * b + c, rounded once where the instruction set can, and twice where emulation would cost a multiple.
FUNCNN_INLINE float fma(float a, float b, float c) {
#if defined(FUNCNN_FMA)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}
FUNCNN_INLINE double fma(double a, double b, double c) {
#if defined(FUNCNN_FMA)
  return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}

#if defined(FUNCNN_VECTORS)
template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(FUNCNN_VECTOR_BYTES)));
};
template <class T>
using Vector = typename VectorOf<T>::type;

template <class T>
FUNCNN_INLINE Vector<T> repeat(T x) {
  return x - Vector<T>{};  // of -0 as well
}

FUNCNN_INLINE Vector<float> fma(Vector<float> a, Vector<float> b, Vector<float> c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#elif defined(__ARM_FEATURE_FMA) && defined(__aarch64__)
  return Vector<float>(vfmaq_f32(float32x4_t(c), float32x4_t(a), float32x4_t(b)));
#else
  return a * b + c;
#endif
}
FUNCNN_INLINE Vector<double> fma(Vector<double> a, Vector<double> b, Vector<double> c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_pd(a, b, c);
#elif defined(__FMA__)
  return _mm256_fmadd_pd(a, b, c);
#elif defined(__ARM_FEATURE_FMA) && defined(__aarch64__)
  return Vector<double>(vfmaq_f64(float64x2_t(c), float64x2_t(a), float64x2_t(b)));
#else
  return a * b + c;
#endif
}
#endif

}  // namespace
}  // namespace funcnn::cpu::simd
