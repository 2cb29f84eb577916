// Codes of quantised rows in vectors. Everything has internal linkage: see table.h.
#pragma once

#include <cstdint>
#include <cstring>

#include "backends/cpu/fp8.h"
#include "backends/cpu/quantized.h"
#include "backends/cpu/simd/fma.h"

#if defined(FUNCNN_VECTORS)
namespace funcnn::cpu {
namespace {

using F32 = simd::Vector<float>;
using U32 = simd::Vector<uint32_t>;
using I32 = simd::Vector<int32_t>;
constexpr int kLanes = FUNCNN_VECTOR_BYTES / 4;
typedef float LooseF32 __attribute__((vector_size(FUNCNN_VECTOR_BYTES), aligned(4), may_alias));
typedef uint32_t LooseU32 __attribute__((vector_size(FUNCNN_VECTOR_BYTES), aligned(4), may_alias));

FUNCNN_INLINE F32 load(const float* at) { return *reinterpret_cast<const LooseF32*>(at); }
FUNCNN_INLINE U32 load(const uint32_t* at) { return *reinterpret_cast<const LooseU32*>(at); }
FUNCNN_INLINE void store(float* at, F32 x) { *reinterpret_cast<LooseF32*>(at) = x; }

// Element index[i] of v in lane i, indices taken modulo the number of lanes.
FUNCNN_INLINE F32 permute(F32 v, U32 index) {
#if defined(__AVX512F__)
  return _mm512_permutexvar_ps(__m512i(index), v);
#elif defined(__AVX2__)
  return _mm256_permutevar8x32_ps(v, __m256i(index));
#else
  F32 out{};
  for (int i = 0; i < kLanes; ++i) out[i] = v[index[i] & unsigned(kLanes - 1)];
  return out;
#endif
}

// What P codes in a row of W words (whole codes in whole words) look like.
template <QuantCode code>
struct Packing {
  static constexpr int bits = code == QuantCode::u1                              ? 1
                              : code == QuantCode::u2                            ? 2
                              : code == QuantCode::u3                            ? 3
                              : code == QuantCode::u4 || code == QuantCode::e2m1 ? 4
                              : code == QuantCode::u5                            ? 5
                              : code == QuantCode::u6                            ? 6
                                                                                 : 8;
  static constexpr int words = bits == 3 || bits == 6 ? 3 : bits == 5 ? 5 : 1;
  static constexpr int codes = words * 32 / bits;
};

// Code j of each lane's run of words, in the low bits; others may stand above it.
template <QuantCode code>
FUNCNN_INLINE U32 extract(const U32* words, int j) {
  constexpr int bits = Packing<code>::bits;
  int at = j * bits / 32, shift = j * bits % 32;
  U32 low = shift ? words[at] >> shift : words[at];
  if (shift + bits > 32) low |= words[at + 1] << (32 - shift);
  return low;
}

FUNCNN_INLINE F32 to_float(U32 x) { return __builtin_convertvector(I32(x), F32); }

// Without NaN, which is read as 480.
FUNCNN_INLINE F32 e4m3_finite(U32 c) {
#if defined(__AVX512F__)
  // Sign and exponent choose what the fraction counts and what it is added to.
  const F32 fractions = {0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7};
  const F32 steps = {0x1p-9f, 0x1p-9f, 0x1p-8f, 0x1p-7f, 0x1p-6f, 0x1p-5f, 0x1p-4f, 0x1p-3f,
                     0x1p-2f, 0x1p-1f, 0x1p0f,  0x1p1f,  0x1p2f,  0x1p3f,  0x1p4f,  0x1p5f};
  const F32 bases = {0,      0x1p-6f, 0x1p-5f, 0x1p-4f, 0x1p-3f, 0x1p-2f, 0x1p-1f, 0x1p0f,
                     0x1p1f, 0x1p2f,  0x1p3f,  0x1p4f,  0x1p5f,  0x1p6f,  0x1p7f,  0x1p8f};
  __m512i exponent = __m512i(c >> 3);
  F32 step = _mm512_permutex2var_ps(steps, exponent, -steps), base = _mm512_permutex2var_ps(bases, exponent, -bases);
  return simd::fma(permute(fractions, c), step, base);
#else
  U32 magnitude = c & 0x7fu;
  U32 small = U32(magnitude < 8u);
  U32 bits = (magnitude << 20) + (120u << 23) + (small & (1u << 23));
  F32 value = F32(bits) - F32(small & 0x3c800000u);  // 2^-6
  return F32(U32(value) | ((c & 0x80u) << 24));
#endif
}

FUNCNN_INLINE F32 e4m3_values(U32 c) {
  U32 nan = U32((c & 0x7fu) == 0x7fu) & 0x7fc00000u;
  return F32(U32(e4m3_finite(c)) | nan);
}

// The numbers that the low bits of c stand for.
template <QuantCode code>
FUNCNN_INLINE F32 values(U32 c) {
  constexpr int bits = Packing<code>::bits;
  if constexpr (code == QuantCode::e4m3) return e4m3_values(c);
#if defined(__AVX512F__)
  if constexpr (code == QuantCode::e2m1) {
    const F32 table = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
    return permute(table, c);
  } else if constexpr (bits <= 4) {
    constexpr int mask = (1 << bits) - 1;
    const F32 table = {0 & mask, 1 & mask, 2 & mask,  3 & mask,  4 & mask,  5 & mask,  6 & mask,  7 & mask,
                       8 & mask, 9 & mask, 10 & mask, 11 & mask, 12 & mask, 13 & mask, 14 & mask, 15 & mask};
    return permute(table, c);
  }
#elif defined(__AVX2__)
  if constexpr (code == QuantCode::e2m1) {
    const F32 table = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    return F32(U32(permute(table, c)) | ((c & 8u) << 28));
  } else if constexpr (bits <= 3) {
    constexpr int mask = (1 << bits) - 1;
    const F32 table = {0 & mask, 1 & mask, 2 & mask, 3 & mask, 4 & mask, 5 & mask, 6 & mask, 7 & mask};
    return permute(table, c);
  }
#else
  if constexpr (code == QuantCode::e2m1) {
    // Twice the value: m for m < 4, else (4 + 2 (m & 1)) << (m >= 6), as a number.
    U32 m = c & 7u, high = U32(m >= 4u), top = U32(m >= 6u);
    U32 doubled = (~high & m) | (high & ((((m & 1u) << 1) + 4u) << (top & 1u)));
    return F32(U32(to_float(doubled) * 0.5f) | ((c & 8u) << 28));
  }
#endif
  return to_float(c & ((1u << bits) - 1));
}

// The same where NaN does not matter: note_nan tells of it.
template <QuantCode code>
FUNCNN_INLINE F32 finite_values(U32 c) {
  if constexpr (code == QuantCode::e4m3)
    return e4m3_finite(c);
  else
    return values<code>(c);
}
// Sets bits of `seen` if one of the codes in w is NaN.
template <QuantCode code>
FUNCNN_INLINE void note_nan(U32 w, U32& seen) {
  if constexpr (code == QuantCode::e4m3) seen |= ((w & 0x7f7f7f7fu) + 0x01010101u) & 0x80808080u;
}
FUNCNN_INLINE bool any(U32 x) {
  uint32_t all = 0;
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask(__m512i(x), __m512i(x)) != 0;
#endif
  for (int i = 0; i < kLanes; ++i) all |= x[i];
  return all != 0;
}

// Codes [first, first + kLanes) of a row, first being a multiple of kLanes; reads no byte behind them.
template <QuantCode code>
FUNCNN_INLINE F32 in_order(const uint32_t* row, int64_t first) {
  constexpr int bits = Packing<code>::bits;
  const uint8_t* p = reinterpret_cast<const uint8_t*>(row) + first * bits / 8;
#if defined(__AVX512F__) || defined(__AVX2__)
  if constexpr (bits == 8) {
    typedef uint8_t Bytes __attribute__((vector_size(kLanes), aligned(1), may_alias));
    return values<code>(__builtin_convertvector(*reinterpret_cast<const Bytes*>(p), U32));
  } else {
    constexpr int step = bits;
    U32 lane{};
    for (int i = 0; i < kLanes; ++i) lane[i] = uint32_t(i * step);
    U32 at = lane >> 5, shift = lane & 31u;
#if defined(__AVX512F__)
    __m512i source = _mm512_castsi128_si512(_mm_maskz_loadu_epi8(__mmask16((1u << (2 * bits)) - 1), p));
    U32 low = U32(_mm512_permutexvar_epi32(__m512i(at), source)) >> shift;
    if constexpr (32 % bits != 0)
      low |= U32(_mm512_sllv_epi32(_mm512_permutexvar_epi32(__m512i(at + 1u), source), __m512i(32u - shift)));
#else
    uint64_t run = 0;
    std::memcpy(&run, p, bits);
    __m256i source = _mm256_set1_epi64x(int64_t(run));
    U32 low = U32(_mm256_permutevar8x32_epi32(source, __m256i(at))) >> shift;
    if constexpr (32 % bits != 0)
      low |= U32(_mm256_sllv_epi32(_mm256_permutevar8x32_epi32(source, __m256i(at + 1u)), __m256i(32u - shift)));
#endif
    return values<code>(low);
  }
#else
  U32 c{};
  for (int i = 0; i < kLanes; ++i) {
    int bit = int(first * bits % 8) + i * bits;
    uint32_t pair = p[bit / 8];
    if (bit % 8 + bits > 8) pair |= uint32_t(p[bit / 8 + 1]) << 8;
    c[i] = pair >> (bit % 8);
  }
  return values<code>(c);
#endif
}

}  // namespace
}  // namespace funcnn::cpu
#endif

namespace funcnn::cpu {
namespace {

// Call f.operator()<code>().
template <class F>
FUNCNN_INLINE void visit_code(QuantCode code, F&& f) {
  switch (code) {
    case QuantCode::u1:
      return f.template operator()<QuantCode::u1>();
    case QuantCode::u2:
      return f.template operator()<QuantCode::u2>();
    case QuantCode::u3:
      return f.template operator()<QuantCode::u3>();
    case QuantCode::u4:
      return f.template operator()<QuantCode::u4>();
    case QuantCode::u5:
      return f.template operator()<QuantCode::u5>();
    case QuantCode::u6:
      return f.template operator()<QuantCode::u6>();
    case QuantCode::u8:
      return f.template operator()<QuantCode::u8>();
    case QuantCode::e2m1:
      return f.template operator()<QuantCode::e2m1>();
    case QuantCode::e4m3:
      return f.template operator()<QuantCode::e4m3>();
  }
}

}  // namespace
}  // namespace funcnn::cpu
