// Keys on both sides of a pivot, by one permutation of a vector for each side. Everything has internal linkage: see
// table.h.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "backends/cpu/simd/vectors.h"

#if defined(__aarch64__) && defined(FUNCNN_VECTORS)
#include <arm_neon.h>
#endif

namespace funcnn::cpu::simd {
namespace {

// For each mask, the bytes of those of `lanes` elements that it names, in order.
template <size_t lanes, size_t bytes>
constexpr auto kNamedBytes = [] {
  std::array<std::array<uint8_t, lanes * bytes>, size_t(1) << lanes> all{};
  for (size_t mask = 0; mask < all.size(); ++mask) {
    size_t count = 0;
    for (size_t i = 0; i < lanes; ++i)
      if (mask >> i & 1)
        for (size_t b = 0; b < bytes; ++b) all[mask][count++] = uint8_t(i * bytes + b);
  }
  return all;
}();

#if defined(__AVX512F__)
#define FUNCNN_SPLITS_VECTORS 1
// The vector's elements below the pivot go to `low`, others to `high`, with whatever up to the end of a vector. Returns
// how many are below. Elements do not go to memory one by one: some processors take hundreds of cycles for that.
FUNCNN_INLINE int split_vector(Vector<int32_t> v, Vector<int32_t> pivot, int32_t* low, int32_t* high) {
  const __mmask16 below = _mm512_cmplt_epi32_mask(__m512i(v), __m512i(pivot));
  _mm512_storeu_si512(low, _mm512_maskz_compress_epi32(below, __m512i(v)));
  _mm512_storeu_si512(high, _mm512_maskz_compress_epi32(__mmask16(~below), __m512i(v)));
  return std::popcount(unsigned(below));
}
FUNCNN_INLINE int split_vector(Vector<int64_t> v, Vector<int64_t> pivot, int64_t* low, int64_t* high) {
  const __mmask8 below = _mm512_cmplt_epi64_mask(__m512i(v), __m512i(pivot));
  _mm512_storeu_si512(low, _mm512_maskz_compress_epi64(below, __m512i(v)));
  _mm512_storeu_si512(high, _mm512_maskz_compress_epi64(__mmask8(~below), __m512i(v)));
  return std::popcount(unsigned(below));
}
#elif defined(__AVX2__)
#define FUNCNN_SPLITS_VECTORS 1
FUNCNN_INLINE __m256i named(Vector<int32_t> v, unsigned mask) {
  const __m128i places = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(kNamedBytes<8, 1>[mask].data()));
  return _mm256_permutevar8x32_epi32(__m256i(v), _mm256_cvtepu8_epi32(places));
}
FUNCNN_INLINE __m256i named(Vector<int64_t> v, unsigned mask) {
  const __m128i halves = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(kNamedBytes<4, 2>[mask].data()));
  return _mm256_permutevar8x32_epi32(__m256i(v), _mm256_cvtepu8_epi32(halves));
}
FUNCNN_INLINE unsigned below(Vector<int32_t> v, Vector<int32_t> pivot) {
  return unsigned(_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(__m256i(pivot), __m256i(v)))));
}
FUNCNN_INLINE unsigned below(Vector<int64_t> v, Vector<int64_t> pivot) {
  return unsigned(_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(__m256i(pivot), __m256i(v)))));
}
template <class T>
FUNCNN_INLINE int split_vector(Vector<T> v, Vector<T> pivot, T* low, T* high) {
  const unsigned mask = below(v, pivot);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(low), named(v, mask));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(high), named(v, (1u << kLanesOf<T>)-1 - mask));
  return std::popcount(mask);
}
#elif defined(__aarch64__) && defined(FUNCNN_VECTORS)
#define FUNCNN_SPLITS_VECTORS 1
FUNCNN_INLINE unsigned below(Vector<int32_t> v, Vector<int32_t> pivot) {
  return vaddvq_u32(vandq_u32(vcltq_s32(int32x4_t(v), int32x4_t(pivot)), uint32x4_t{1, 2, 4, 8}));
}
FUNCNN_INLINE unsigned below(Vector<int64_t> v, Vector<int64_t> pivot) {
  return unsigned(vaddvq_u64(vandq_u64(vcltq_s64(int64x2_t(v), int64x2_t(pivot)), uint64x2_t{1, 2})));
}
template <class T>
FUNCNN_INLINE uint8x16_t named(Vector<T> v, unsigned mask) {
  return vqtbl1q_u8(uint8x16_t(v), vld1q_u8(kNamedBytes<size_t(kLanesOf<T>), sizeof(T)>[mask].data()));
}
template <class T>
FUNCNN_INLINE int split_vector(Vector<T> v, Vector<T> pivot, T* low, T* high) {
  const unsigned mask = below(v, pivot);
  vst1q_u8(reinterpret_cast<uint8_t*>(low), named<T>(v, mask));
  vst1q_u8(reinterpret_cast<uint8_t*>(high), named<T>(v, (1u << kLanesOf<T>)-1 - mask));
  return std::popcount(mask);
}
#endif

// What is written never outruns what is read, so either side may be where the keys are.
template <class T>
int64_t split(const T* from, int64_t n, T pivot, T* low, T* high) {
  T* const start = low;
  int64_t i = 0;
#if defined(FUNCNN_SPLITS_VECTORS)
  constexpr int lanes = kLanesOf<T>;
  const Vector<T> pivots = repeat(pivot);
  auto put = [&](Vector<T> v) {
    const int below = split_vector(v, pivots, low, high);
    low += below;
    high += lanes - below;
  };
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    const Vector<T> a = load(from + i), b = load(from + i + lanes), c = load(from + i + 2 * lanes),
                    d = load(from + i + 3 * lanes);
    put(a);
    put(b);
    put(c);
    put(d);
  }
  for (; i + lanes <= n; i += lanes) put(load(from + i));
#endif
  for (; i < n; ++i) {
    const T key = from[i];
    const bool below = key < pivot;
    *low = key;
    *high = key;
    low += below;
    high += !below;
  }
  return low - start;
}

}  // namespace
}  // namespace funcnn::cpu::simd
