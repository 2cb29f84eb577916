// The associative operations of reductions.
#pragma once

#include <limits>
#include <type_traits>

#include "backends/cpu/simd/fma.h"
#include "backends/cpu/simd/types.h"
#include "base/inline.h"
#include "graph/opcode.h"

namespace funcnn::cpu::simd {
namespace {

#if defined(FUNCNN_VECTORS)
template <class T>
FUNCNN_INLINE Vector<T> load_vector(const T* x) {
  Vector<T> v;
  __builtin_memcpy(&v, x, sizeof(v));
  return v;
}
#endif

// The compiler makes two comparisons and two blends of `b > a ? b : a`; the machine has it in one, a if either is NaN.
#if defined(FUNCNN_VECTORS) && defined(__AVX512F__)
FUNCNN_INLINE __m512 greater(__m512 a, __m512 b) { return _mm512_max_ps(b, a); }
FUNCNN_INLINE __m512d greater(__m512d a, __m512d b) { return _mm512_max_pd(b, a); }
FUNCNN_INLINE __m512 lesser(__m512 a, __m512 b) { return _mm512_min_ps(b, a); }
FUNCNN_INLINE __m512d lesser(__m512d a, __m512d b) { return _mm512_min_pd(b, a); }
#endif
template <class V>
FUNCNN_INLINE V greater(V a, V b) {
  return b > a ? b : a;
}
template <class V>
FUNCNN_INLINE V lesser(V a, V b) {
  return b < a ? b : a;
}

// Sums and products of integers wrap; bytes 0 and 1 stand for booleans. `vector` is `apply` for vectors.
template <class T>
struct SumOp {
  static FUNCNN_INLINE T identity() { return T(0); }
  static FUNCNN_INLINE T apply(T a, T b) { return T(a + b); }
  template <class V>
  static FUNCNN_INLINE V vector(V a, V b) {
    return a + b;
  }
};
template <class T>
struct ProdOp {
  static FUNCNN_INLINE T identity() { return T(1); }
  static FUNCNN_INLINE T apply(T a, T b) {
    if constexpr (sizeof(T) < 4)
      return T(uint32_t(a) * uint32_t(b));
    else
      return a * b;
  }
  template <class V>
  static FUNCNN_INLINE V vector(V a, V b) {
    return a * b;
  }
};
template <class T>
struct MaxOp {
  static FUNCNN_INLINE T identity() {
    if constexpr (std::is_floating_point_v<T>)
      return -std::numeric_limits<T>::infinity();
    else
      return std::numeric_limits<T>::lowest();
  }
  static FUNCNN_INLINE T apply(T a, T b) {
    T m = a > b ? a : b;  // b if either is NaN
    if constexpr (std::is_floating_point_v<T>) m = a != a ? a : m;
    return m;
  }
  template <class V>
  static FUNCNN_INLINE V vector(V a, V b) {
    V m = greater(a, b);  // a if either is NaN: the test of b does not wait for the accumulator a
    if constexpr (std::is_floating_point_v<T>) m = b != b ? b : m;
    return m;
  }
};
template <class T>
struct MinOp {
  static FUNCNN_INLINE T identity() {
    if constexpr (std::is_floating_point_v<T>)
      return std::numeric_limits<T>::infinity();
    else
      return std::numeric_limits<T>::max();
  }
  static FUNCNN_INLINE T apply(T a, T b) {
    T m = a < b ? a : b;
    if constexpr (std::is_floating_point_v<T>) m = a != a ? a : m;
    return m;
  }
  template <class V>
  static FUNCNN_INLINE V vector(V a, V b) {
    V m = lesser(a, b);
    if constexpr (std::is_floating_point_v<T>) m = b != b ? b : m;
    return m;
  }
};
template <class T>
struct AllOp {
  static FUNCNN_INLINE T identity() { return T(1); }
  static FUNCNN_INLINE T apply(T a, T b) { return T(a & b); }
  template <class V>
  static FUNCNN_INLINE V vector(V a, V b) {
    return a & b;
  }
};
template <class T>
struct AnyOp {
  static FUNCNN_INLINE T identity() { return T(0); }
  static FUNCNN_INLINE T apply(T a, T b) { return T(a | b); }
  template <class V>
  static FUNCNN_INLINE V vector(V a, V b) {
    return a | b;
  }
};

// `rest` and the results of `whole` blocks before it, combined pairwise by a binary counter: level k holds the result
// of 2^k blocks.
template <class Op, class T, class Block>
FUNCNN_INLINE T pairwise(int64_t whole, Block&& block, T rest) {
  T level[56];
  for (int64_t b = 0; b < whole; ++b) {
    T r = block(b);
    int k = 0;
    for (int64_t bit = b; bit & 1; bit >>= 1) r = Op::apply(level[k++], r);
    level[k] = r;
  }
  T r = rest;
  int k = 0;
  for (int64_t bit = whole; bit; bit >>= 1, ++k)
    if (bit & 1) r = Op::apply(level[k], r);
  return r;
}

template <class Entry, template <class> class Op, class Entries, class... Ts>
constexpr void add_reduction(Entries& t, ReduceOp op, Types<Ts...>) {
  ((t[int(op)][DtypeOf<Ts>::value] = Entry::template of<Ts, Op<Ts>>), ...);
}
// A table by operation and dtype, of the functions Entry::of<T, Op>. Sums and products of signed integers wrap like
// those of unsigned ones, and on booleans every reduction is `all` or `any`.
template <class Entry, class Entries>
constexpr void add_reductions(Entries& t) {
  using Wrapping = Types<uint8_t, uint16_t, uint32_t, uint64_t, float, double>;
  add_reduction<Entry, SumOp>(t, ReduceOp::sum, Wrapping{});
  add_reduction<Entry, ProdOp>(t, ReduceOp::prod, Wrapping{});
  add_reduction<Entry, MaxOp>(t, ReduceOp::max, Reals{});
  add_reduction<Entry, MinOp>(t, ReduceOp::min, Reals{});
  add_reduction<Entry, AllOp>(t, ReduceOp::all, Types<uint8_t>{});
  add_reduction<Entry, AnyOp>(t, ReduceOp::any, Types<uint8_t>{});
  for (ReduceOp op : {ReduceOp::sum, ReduceOp::prod})
    for (int d = 0; d < 4; ++d) t[int(op)][int(Dtype::int8) + d] = t[int(op)][int(Dtype::uint8) + d];
  constexpr int b = int(Dtype::bool_), u = int(Dtype::uint8);
  auto all = t[int(ReduceOp::all)][u], any = t[int(ReduceOp::any)][u];
  for (ReduceOp op : {ReduceOp::all, ReduceOp::min, ReduceOp::prod}) t[int(op)][b] = all;
  for (ReduceOp op : {ReduceOp::any, ReduceOp::max, ReduceOp::sum}) t[int(op)][b] = any;
}

}  // namespace
}  // namespace funcnn::cpu::simd
