// The tile kernel of matrix products and the packing of its operands, for kernels that multiply. A tile of C stays in
// registers while a panel of packed A and one of B go by. Everything has internal linkage: see table.h.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "backends/cpu/gemm.h"
#include "backends/cpu/simd/fma.h"

#if defined(FUNCNN_VECTORS)
namespace funcnn::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int kRows = 12;
#elif defined(__AVX2__)
constexpr int kRows = 6;
#elif defined(__aarch64__)
constexpr int kRows = 8;
#else
constexpr int kRows = 4;
#endif
constexpr int kBytes = FUNCNN_VECTOR_BYTES;
constexpr int kVectors = 2;  // a row of the tile

template <class T>
struct Simd {
  using Vector = simd::Vector<T>;
  typedef T Loose __attribute__((vector_size(kBytes), aligned(alignof(T)), may_alias));
  static constexpr int lanes = kBytes / int(sizeof(T)), panel = kVectors * lanes;
};

inline float widen(float x) { return x; }
inline double widen(double x) { return x; }
inline float widen(bfloat16_t x) { return bfloat16_bits_to_float(x.bits); }
inline float widen(float16_t x) { return float16_bits_to_float(x.bits); }

// The tile kernel of one type.
template <class T>
struct TileKernel {
  // `rows` x panel elements of C from k steps of a packed panel of A (kRows apart) and a panel of B (`step` apart).
  template <int vectors, int rows>
  static void tile(int64_t k, const T* __restrict a, const T* __restrict b, int64_t step, T* __restrict c,
                   int64_t leading, bool add) {
    using V = typename Simd<T>::Vector;
    using L = typename Simd<T>::Loose;
    constexpr int lanes = Simd<T>::lanes;
    V sum[rows][vectors];
    FUNCNN_UNROLL
    for (int i = 0; i < rows; ++i) {
      FUNCNN_UNROLL
      for (int j = 0; j < vectors; ++j) sum[i][j] = V{};
    }
    for (int64_t p = 0; p < k; ++p) {
      V x[vectors];
      FUNCNN_UNROLL
      for (int j = 0; j < vectors; ++j) x[j] = *reinterpret_cast<const L*>(b + j * lanes);
      FUNCNN_UNROLL
      for (int i = 0; i < rows; ++i) {
        FUNCNN_UNROLL
        for (int j = 0; j < vectors; ++j) sum[i][j] = simd::fma(simd::repeat(a[i]), x[j], sum[i][j]);
      }
      a += kRows;
      b += step;
    }
    FUNCNN_UNROLL
    for (int i = 0; i < rows; ++i) {
      FUNCNN_UNROLL
      for (int j = 0; j < vectors; ++j) {
        L* out = reinterpret_cast<L*>(c + i * leading + j * lanes);
        *out = add ? *out + sum[i][j] : sum[i][j];
      }
    }
  }
};

// The tile of Steps (`tile<vectors, rows>`) for so many rows.
template <class Steps, int vectors, int... rows>
auto pick_tile(int64_t count, std::integer_sequence<int, rows...>) {
  using Run = decltype(&Steps::template tile<vectors, 1>);
  static constexpr Run table[] = {&Steps::template tile<vectors, rows + 1>...};
  return table[count - 1];
}
template <class Steps, int vectors>
auto pick_tile(int64_t count) {
  return pick_tile<Steps, vectors>(count, std::make_integer_sequence<int, kRows>());
}

// Rows of A in panels of at most kRows, as even as they come.
struct Panels {
  int64_t count, base, extra;
  explicit Panels(int64_t rows) : count((rows + kRows - 1) / kRows), base(rows / count), extra(rows % count) {}
  int64_t rows(int64_t i) const { return base + (i < extra ? 1 : 0); }
};

typedef float Four __attribute__((vector_size(16)));
typedef float FourLoose __attribute__((vector_size(16), aligned(4), may_alias));

// Four of the eight elements of a and b, by position. GCC 11 and Clang name the instruction differently.
template <int... at>
Four pick(Four a, Four b) {
#ifdef __clang__
  return __builtin_shufflevector(a, b, at...);
#else
  typedef int32_t Order __attribute__((vector_size(16)));
  return __builtin_shuffle(a, b, Order{at...});
#endif
}

// What a packed panel holds for `group` elements that follow each other along K: one, widened, or two of 16 bits as
// they are, for instructions that multiply pairs.
template <class T, class S>
struct Word {
  static constexpr int group = 1;
  static T read(const S* at) { return widen(*at); }
  static Four read_four(const S* at) {
    if constexpr (std::is_same_v<T, S>)
      return Four(*reinterpret_cast<const FourLoose*>(at));
    else
      return Four{widen(at[0]), widen(at[1]), widen(at[2]), widen(at[3])};
  }
};
template <class S>
struct Word<uint32_t, S> {
  static constexpr int group = 2;
  static uint32_t read(const S* at) {
    return std::bit_cast<std::array<uint32_t, 1>>(std::array<S, 2>{at[0], at[1]})[0];
  }
  static Four read_four(const S* at) {
    typedef float Unaligned __attribute__((vector_size(16), aligned(2), may_alias));
    return Four(*reinterpret_cast<const Unaligned*>(at));
  }
};

// out[t * step + i] = word t of line i, for `lines` lines that are `apart` from each other and dense along t.
template <class T, class S>
void interleave(const S* __restrict from, int64_t apart, int64_t lines, int64_t k, T* __restrict out, int64_t step) {
  using W = Word<T, S>;
  constexpr int group = W::group;
  int64_t i = 0;
  if constexpr (sizeof(T) == 4) {
    // Squares of 4 x 4 in registers.
    for (; i + 4 <= lines; i += 4) {
      const S* line = from + i * apart;
      int64_t t = 0;
      for (; t + 4 <= k; t += 4) {
        const S* at = line + t * group;
        Four a = W::read_four(at), b = W::read_four(at + apart), c = W::read_four(at + 2 * apart),
             d = W::read_four(at + 3 * apart);
        Four ab0 = pick<0, 4, 1, 5>(a, b), ab1 = pick<2, 6, 3, 7>(a, b);
        Four cd0 = pick<0, 4, 1, 5>(c, d), cd1 = pick<2, 6, 3, 7>(c, d);
        T* to = out + t * step + i;
        *reinterpret_cast<FourLoose*>(to) = pick<0, 1, 4, 5>(ab0, cd0);
        *reinterpret_cast<FourLoose*>(to + step) = pick<2, 3, 6, 7>(ab0, cd0);
        *reinterpret_cast<FourLoose*>(to + 2 * step) = pick<0, 1, 4, 5>(ab1, cd1);
        *reinterpret_cast<FourLoose*>(to + 3 * step) = pick<2, 3, 6, 7>(ab1, cd1);
      }
      for (; t < k; ++t)
        for (int64_t q = 0; q < 4; ++q) out[t * step + i + q] = W::read(line + q * apart + t * group);
    }
  }
  for (; i < lines; ++i)
    for (int64_t t = 0; t < k; ++t) out[t * step + i] = W::read(from + i * apart + t * group);
}

template <class T, class S>
void pack_a(MatrixView<S> a, int64_t rows, int64_t k, T* out) {
  Panels panels(rows);
  for (int64_t p = 0, row = 0; p < panels.count; ++p) {
    int64_t n = panels.rows(p);
    MatrixView<S> from = a.at(row, 0);
    if (a.column == 1) {
      interleave<T>(from.data, from.row, n, k, out, kRows);
    } else if (a.row == 1 && n == kRows) {
      for (int64_t t = 0; t < k; ++t)
        for (int64_t i = 0; i < kRows; ++i) out[t * kRows + i] = widen(from.data[t * from.column + i]);
    } else {
      for (int64_t t = 0; t < k; ++t)
        for (int64_t i = 0; i < n; ++i) out[t * kRows + i] = widen(from.data[t * from.column + i * from.row]);
    }
    row += n;
    out += k * kRows;
  }
}

template <class T, class S>
void pack_b_panel(MatrixView<S> b, int64_t k, int64_t columns, T* out) {
  constexpr int panel = Simd<T>::panel;
  if (columns < panel) std::fill_n(out, k * panel, T(0));
  if (b.row == 1) {
    interleave<T>(b.data, b.column, columns, k, out, panel);
  } else if (b.column == 1 && columns == panel) {
    for (int64_t t = 0; t < k; ++t)
      for (int j = 0; j < panel; ++j) out[t * panel + j] = widen(b.data[t * b.row + j]);
  } else {
    for (int64_t t = 0; t < k; ++t)
      for (int64_t j = 0; j < columns; ++j) out[t * panel + j] = widen(b.data[t * b.row + j * b.column]);
  }
}

// A vector of T from as many elements of S.
template <class T, class S>
typename Simd<T>::Vector load_wide(const S* from) {
  using V = typename Simd<T>::Vector;
  if constexpr (std::is_same_v<T, S>) {
    return *reinterpret_cast<const typename Simd<T>::Loose*>(from);
  } else {
    typedef uint16_t Narrow __attribute__((vector_size(kBytes / 2), aligned(2), may_alias));
    typedef uint32_t Wide __attribute__((vector_size(kBytes)));
    Wide bits = __builtin_convertvector(*reinterpret_cast<const Narrow*>(from), Wide);
    if constexpr (std::is_same_v<S, bfloat16_t>) return V(bits << 16);
    Wide magnitude = (bits & 0x7fffu) << 13, sign = (bits & 0x8000u) << 16;
    Wide finite = Wide(V(magnitude) * 0x1p112f);
    return V((magnitude >= 0x0f800000u ? (magnitude | 0x7f800000u) : finite) | sign);
  }
}

}  // namespace
}  // namespace funcnn::cpu
#endif
