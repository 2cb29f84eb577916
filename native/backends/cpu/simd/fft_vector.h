// Vectors of floats for Fourier transforms: rows, transposition, interleaving.
#pragma once

#include <cstring>

#include "backends/cpu/simd/vectors.h"

namespace funcnn::cpu {
namespace {

#if defined(FUNCNN_VECTORS)
using V = simd::Vector<float>;
constexpr int kLanes = FUNCNN_VECTOR_BYTES / 4;
FUNCNN_INLINE V load(const float* at) { return simd::load(at); }
FUNCNN_INLINE void store(float* at, V x) { simd::store(at, x); }
FUNCNN_INLINE V splat(float x) { return simd::repeat(x); }

struct Evens {
  static constexpr int at(int i) { return 2 * i; }
};
struct Odds {
  static constexpr int at(int i) { return 2 * i + 1; }
};
struct Low {
  static constexpr int at(int i) { return i / 2 + i % 2 * kLanes; }
};
struct High {
  static constexpr int at(int i) { return kLanes / 2 + i / 2 + i % 2 * kLanes; }
};
struct Backwards {
  static constexpr int at(int i) { return kLanes - 1 - i; }
};
// Within blocks of four, which is what processors do best: of single elements, of pairs, and of whole blocks.
struct LowOfBlocks {
  static constexpr int at(int i) { return i / 4 * 4 + i % 4 / 2 + i % 2 * kLanes; }
};
struct HighOfBlocks {
  static constexpr int at(int i) { return LowOfBlocks::at(i) + 2; }
};
struct LowPairs {
  static constexpr int at(int i) { return i / 4 * 4 + i % 2 + i % 4 / 2 * kLanes; }
};
struct HighPairs {
  static constexpr int at(int i) { return LowPairs::at(i) + 2; }
};
struct EvenBlocks {
  static constexpr int at(int i) { return i / 4 * 8 % kLanes + i % 4 + i / 4 * 8 / kLanes * kLanes; }
};
struct OddBlocks {
  static constexpr int at(int i) { return EvenBlocks::at(i) + 4; }
};
template <class F>
FUNCNN_INLINE V shuffled(V a, V b) {
  return simd::shuffled<float, F>(a, b);
}
FUNCNN_INLINE V evens(V a, V b) { return shuffled<Evens>(a, b); }
FUNCNN_INLINE V odds(V a, V b) { return shuffled<Odds>(a, b); }
FUNCNN_INLINE V low(V a, V b) { return shuffled<Low>(a, b); }
FUNCNN_INLINE V high(V a, V b) { return shuffled<High>(a, b); }
FUNCNN_INLINE V backwards(V a) { return shuffled<Backwards>(a, a); }

// The transposed matrix of four rows in each block of four columns; a row of blocks after that.
FUNCNN_INLINE void transpose_blocks(V& a, V& b, V& c, V& d) {
  V e = shuffled<LowOfBlocks>(a, b), f = shuffled<HighOfBlocks>(a, b);
  V g = shuffled<LowOfBlocks>(c, d), h = shuffled<HighOfBlocks>(c, d);
  a = shuffled<LowPairs>(e, g);
  b = shuffled<HighPairs>(e, g);
  c = shuffled<LowPairs>(f, h);
  d = shuffled<HighPairs>(f, h);
}
// Of rows j, 4 + j, ... whose elements are blocks: the transposed matrix.
FUNCNN_INLINE void transpose_of_blocks(V (&rows)[kLanes], int j) {
  if constexpr (kLanes == 8) {
    V a = rows[j], b = rows[4 + j];
    rows[j] = shuffled<EvenBlocks>(a, b);
    rows[4 + j] = shuffled<OddBlocks>(a, b);
  } else if constexpr (kLanes == 16) {
    V a = shuffled<EvenBlocks>(rows[j], rows[4 + j]), b = shuffled<OddBlocks>(rows[j], rows[4 + j]);
    V c = shuffled<EvenBlocks>(rows[8 + j], rows[12 + j]), d = shuffled<OddBlocks>(rows[8 + j], rows[12 + j]);
    rows[j] = shuffled<EvenBlocks>(a, c);
    rows[4 + j] = shuffled<EvenBlocks>(b, d);
    rows[8 + j] = shuffled<OddBlocks>(a, c);
    rows[12 + j] = shuffled<OddBlocks>(b, d);
  }
}
FUNCNN_INLINE void transpose(V (&rows)[kLanes]) {
  FUNCNN_UNROLL
  for (int r = 0; r < kLanes; r += 4) transpose_blocks(rows[r], rows[r + 1], rows[r + 2], rows[r + 3]);
  FUNCNN_UNROLL
  for (int j = 0; j < 4; ++j) transpose_of_blocks(rows, j);
}

// c - a * b.
FUNCNN_INLINE V fnma(V a, V b, V c) {
#if defined(__AVX512F__)
  return _mm512_fnmadd_ps(a, b, c);
#elif defined(__FMA__)
  return _mm256_fnmadd_ps(a, b, c);
#elif defined(__ARM_FEATURE_FMA) && defined(__aarch64__)
  return V(vfmsq_f32(float32x4_t(c), float32x4_t(a), float32x4_t(b)));
#else
  return c - a * b;
#endif
}
#else
using V = float;
constexpr int kLanes = 1;
FUNCNN_INLINE V load(const float* at) { return *at; }
FUNCNN_INLINE void store(float* at, V x) { *at = x; }
FUNCNN_INLINE V splat(float x) { return x; }
FUNCNN_INLINE V evens(V a, V) { return a; }
FUNCNN_INLINE V odds(V, V b) { return b; }
FUNCNN_INLINE V low(V a, V) { return a; }
FUNCNN_INLINE V high(V, V b) { return b; }
FUNCNN_INLINE V backwards(V a) { return a; }
FUNCNN_INLINE void transpose(V (&)[kLanes]) {}
FUNCNN_INLINE V fnma(V a, V b, V c) { return simd::fma(-a, b, c); }
#endif

constexpr int64_t kRow = 2 * kLanes;  // floats

struct Complex {
  V re, im;
};
FUNCNN_INLINE Complex load_row(const float* at) { return {load(at), load(at + kLanes)}; }
FUNCNN_INLINE void store_row(float* at, Complex x) {
  store(at, x.re);
  store(at + kLanes, x.im);
}
FUNCNN_INLINE Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
FUNCNN_INLINE Complex operator-(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
FUNCNN_INLINE Complex operator*(Complex a, Complex b) {
  return {fnma(a.im, b.im, a.re * b.re), simd::fma(a.re, b.im, a.im * b.re)};
}
FUNCNN_INLINE Complex splat(const float* complex) { return {splat(complex[0]), splat(complex[1])}; }
// Complex numbers side by side.
FUNCNN_INLINE Complex load_pairs(const float* at) {
  V a = load(at), b = load(at + kLanes);
  return {evens(a, b), odds(a, b)};
}
FUNCNN_INLINE void store_pairs(float* at, Complex x) {
  store(at, low(x.re, x.im));
  store(at + kLanes, high(x.re, x.im));
}

}  // namespace
}  // namespace funcnn::cpu
