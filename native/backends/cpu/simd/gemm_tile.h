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

// Whether a tile can end within a vector: else what is left over at the end of rows goes through padded memory.
#if defined(__AVX512F__)
constexpr bool kMasks = true;
#else
constexpr bool kMasks = false;
#endif

// The first `count` lanes of a vector: all of them, or fewer where there are masks.
template <class T>
FUNCNN_INLINE typename Simd<T>::Vector load_first(const T* from, [[maybe_unused]] int count) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return _mm512_maskz_loadu_ps(__mmask16((1u << count) - 1), from);
  else
    return _mm512_maskz_loadu_pd(__mmask8((1u << count) - 1), from);
#else
  return *reinterpret_cast<const typename Simd<T>::Loose*>(from);
#endif
}
template <class T>
FUNCNN_INLINE void store_first(T* to, typename Simd<T>::Vector x, [[maybe_unused]] int count) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_ps(to, __mmask16((1u << count) - 1), x);
  else
    _mm512_mask_storeu_pd(to, __mmask8((1u << count) - 1), x);
#else
  *reinterpret_cast<typename Simd<T>::Loose*>(to) = x;
#endif
}

// Where a tile reads A: element (i, t) at data[i * row + t * column], packed or where it lies.
template <class T>
struct TileRows {
  const T* data;
  int64_t row, column;
};

// What is asked for while a tile is computed: where the next one goes, and rows of A that come soon, of so many lines
// of cache each and `apart` bytes from each other. Tiles go on where the last one stopped, `most` lines each.
struct Soon {
  const std::byte* c = nullptr;
  const std::byte* a = nullptr;
  int64_t apart = 0, lines = 0, line = 0, most = 0;
};

// Lines of B that lie far apart are asked for so many steps before they are needed.
constexpr int64_t kLinesAhead = 16;

// `rows` x `vectors` vectors of C from k steps of rows of A and of a panel of B, whose lines are `step` apart. Of the
// last vector `last` lanes are there in C, and `loaded` may be read in B: a packed panel has all of them, which is
// faster to read. Steps::multiply_add(sum, a, b): with a word of A and a vector of words of B.
// `keep`: lines of B, which lie far apart, are packed at `kept` on the way.
template <class Steps, int vectors, int rows, bool keep = false, class W, class T>
FUNCNN_INLINE void run_tile(int64_t k, TileRows<W> a, const W* __restrict b, int64_t step, T* __restrict c,
                            int64_t leading, bool add, int last, int loaded, Soon& soon,
                            [[maybe_unused]] W* __restrict kept = nullptr) {
  using V = typename Simd<T>::Vector;
  using L = typename Simd<T>::Loose;
  constexpr int lanes = Simd<T>::lanes, bases = (rows + 2) / 3;
  V sum[rows][vectors];
  FUNCNN_UNROLL
  for (int i = 0; i < rows; ++i) {
    FUNCNN_UNROLL
    for (int j = 0; j < vectors; ++j) sum[i][j] = V{};
  }
  // Few pointers, from which the processor's addressing reaches all rows.
  const W* base[bases];
  FUNCNN_UNROLL
  for (int i = 0; i < bases; ++i) base[i] = a.data + 3 * i * a.row;
  auto multiply = [&]<bool masked>() __attribute__((always_inline)) {
    V x[vectors];
    FUNCNN_UNROLL
    for (int j = 0; j < vectors; ++j) {
      const T* from = reinterpret_cast<const T*>(b) + j * lanes;
      x[j] = masked && j + 1 == vectors ? load_first<T>(from, loaded) : V(*reinterpret_cast<const L*>(from));
      if constexpr (keep) {
        __builtin_prefetch(from + kLinesAhead * step);
        *reinterpret_cast<L*>(kept + j * lanes) = x[j];
      }
    }
    if constexpr (keep) kept += Simd<T>::panel;
    FUNCNN_UNROLL
    for (int i = 0; i < rows; ++i) {
      FUNCNN_UNROLL
      for (int j = 0; j < vectors; ++j) sum[i][j] = Steps::multiply_add(sum[i][j], base[i / 3] + i % 3 * a.row, x[j]);
    }
    FUNCNN_UNROLL
    for (int i = 0; i < bases; ++i) base[i] += a.column;
    b += step;
  };
  // A little with every other step: all at once would hold up what is computed meanwhile.
  const std::byte *next_c = soon.c, *next_a = soon.a;
  int64_t left_c = soon.c ? rows : 0, left_a = soon.most, line = soon.line;
  auto multiply_all = [&]<bool masked>() __attribute__((always_inline)) {
    int64_t p = 0;
    for (; p + 1 < k; p += 2) {
      if (left_c > 0) {
        FUNCNN_UNROLL
        for (int j = 0; j < vectors; ++j) __builtin_prefetch(next_c + j * kBytes, 1);
        next_c += leading * int64_t(sizeof(T));
        --left_c;
      }
      if (left_a > 0) {
        __builtin_prefetch(next_a + line * 64);
        if (++line == soon.lines) {
          line = 0;
          next_a += soon.apart;
        }
        --left_a;
      }
      multiply.template operator()<masked>();
      multiply.template operator()<masked>();
    }
    if (p < k) multiply.template operator()<masked>();
  };
  if (kMasks && loaded < lanes)
    multiply_all.template operator()<true>();
  else
    multiply_all.template operator()<false>();
  soon.a = next_a;
  soon.line = line;
  auto finish = [&]<bool adds, bool part>() {
    FUNCNN_UNROLL
    for (int i = 0; i < rows; ++i) {
      FUNCNN_UNROLL
      for (int j = 0; j < vectors; ++j) {
        T* to = c + i * leading + j * lanes;
        if (part && j + 1 == vectors) {
          store_first<T>(to, adds ? load_first<T>(to, last) + sum[i][j] : sum[i][j], last);
        } else {
          L* out = reinterpret_cast<L*>(to);
          *out = adds ? *out + sum[i][j] : sum[i][j];
        }
      }
    }
  };
  const bool part = kMasks && last < lanes;
  if (add)
    part ? finish.template operator()<true, true>() : finish.template operator()<true, false>();
  else
    part ? finish.template operator()<false, true>() : finish.template operator()<false, false>();
}

// The tile kernel of one type.
template <class T>
struct TileKernel {
  using V = typename Simd<T>::Vector;
  static V multiply_add(V sum, const T* a, V b) { return simd::fma(simd::repeat(*a), b, sum); }
  template <int vectors, int rows>
  static void tile(int64_t k, TileRows<T> a, const T* b, int64_t step, T* c, int64_t leading, bool add, int last,
                   int loaded, Soon& soon) {
    run_tile<TileKernel, vectors, rows>(k, a, b, step, c, leading, add, last, loaded, soon);
  }
  template <int vectors>
  static void packing_tile(int64_t k, TileRows<T> a, const T* b, int64_t step, T* c, int64_t leading, bool add,
                           int last, T* kept) {
    Soon soon;
    run_tile<TileKernel, vectors, kRows, true>(k, a, b, step, c, leading, add, last, last, soon, kept);
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

// Rows of A in panels of at most `most`, as even as they come.
struct Panels {
  int64_t count, base, extra;
  explicit Panels(int64_t rows, int64_t most = kRows)
      : count((rows + most - 1) / most), base(rows / count), extra(rows % count) {}
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

// A vector of T from as many elements of S: of any type that `widen` takes.
template <class T, class S>
typename Simd<T>::Vector load_wide(const S* from) {
  using V = typename Simd<T>::Vector;
  if constexpr (std::is_same_v<T, S>) {
    return *reinterpret_cast<const typename Simd<T>::Loose*>(from);
  } else if constexpr (!std::is_same_v<S, float16_t> && !std::is_same_v<S, bfloat16_t>) {
    alignas(kBytes) T lane[Simd<T>::lanes];
    for (int i = 0; i < Simd<T>::lanes; ++i) lane[i] = T(widen(from[i]));
    return *reinterpret_cast<const typename Simd<T>::Loose*>(lane);
  } else {
    static_assert(std::is_same_v<T, float>);
    typedef uint16_t Narrow __attribute__((vector_size(kBytes / 2), aligned(2), may_alias));
    typedef uint32_t Wide __attribute__((vector_size(kBytes)));
    Wide bits = __builtin_convertvector(*reinterpret_cast<const Narrow*>(from), Wide);
    if constexpr (std::is_same_v<S, bfloat16_t>) return V(bits << 16);
    Wide magnitude = (bits & 0x7fffu) << 13, sign = (bits & 0x8000u) << 16;
    Wide finite = Wide(V(magnitude) * 0x1p112f);
    return V((magnitude >= 0x0f800000u ? (magnitude | 0x7f800000u) : finite) | sign);
  }
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
  static typename Simd<T>::Vector read_vector(const S* at) { return load_wide<T>(at); }
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
  static Simd<float>::Vector read_vector(const S* at) {
    typedef float Unaligned __attribute__((vector_size(kBytes), aligned(2), may_alias));
    return Simd<float>::Vector(*reinterpret_cast<const Unaligned*>(at));
  }
};

// A square of as many vectors as each has lanes, turned in registers.
#if defined(__AVX512F__)
FUNCNN_INLINE void turn(Simd<float>::Vector* x) {
  using V = Simd<float>::Vector;
  auto pairs = [](V a, V b) { return __m512d(_mm512_unpacklo_ps(a, b)); };
  auto high_pairs = [](V a, V b) { return __m512d(_mm512_unpackhi_ps(a, b)); };
  // Squares of 4 x 4 in each quarter, then quarters.
  V t[16];
  FUNCNN_UNROLL
  for (int i = 0; i < 16; i += 4) {
    __m512d ab0 = pairs(x[i], x[i + 1]), ab1 = high_pairs(x[i], x[i + 1]);
    __m512d cd0 = pairs(x[i + 2], x[i + 3]), cd1 = high_pairs(x[i + 2], x[i + 3]);
    t[i] = V(_mm512_unpacklo_pd(ab0, cd0));
    t[i + 1] = V(_mm512_unpackhi_pd(ab0, cd0));
    t[i + 2] = V(_mm512_unpacklo_pd(ab1, cd1));
    t[i + 3] = V(_mm512_unpackhi_pd(ab1, cd1));
  }
  FUNCNN_UNROLL
  for (int i = 0; i < 4; ++i) {
    __m512 ab0 = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x44), ab1 = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xee);
    __m512 cd0 = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x44), cd1 = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xee);
    x[i] = _mm512_shuffle_f32x4(ab0, cd0, 0x88);
    x[i + 4] = _mm512_shuffle_f32x4(ab0, cd0, 0xdd);
    x[i + 8] = _mm512_shuffle_f32x4(ab1, cd1, 0x88);
    x[i + 12] = _mm512_shuffle_f32x4(ab1, cd1, 0xdd);
  }
}
FUNCNN_INLINE void turn(Simd<double>::Vector* x) {
  __m512d t[8];
  FUNCNN_UNROLL
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm512_unpacklo_pd(x[i], x[i + 1]);
    t[i + 1] = _mm512_unpackhi_pd(x[i], x[i + 1]);
  }
  FUNCNN_UNROLL
  for (int i = 0; i < 2; ++i) {
    __m512d ab0 = _mm512_shuffle_f64x2(t[i], t[i + 2], 0x44), ab1 = _mm512_shuffle_f64x2(t[i], t[i + 2], 0xee);
    __m512d cd0 = _mm512_shuffle_f64x2(t[i + 4], t[i + 6], 0x44), cd1 = _mm512_shuffle_f64x2(t[i + 4], t[i + 6], 0xee);
    x[i] = _mm512_shuffle_f64x2(ab0, cd0, 0x88);
    x[i + 2] = _mm512_shuffle_f64x2(ab0, cd0, 0xdd);
    x[i + 4] = _mm512_shuffle_f64x2(ab1, cd1, 0x88);
    x[i + 6] = _mm512_shuffle_f64x2(ab1, cd1, 0xdd);
  }
}
#elif defined(__AVX2__)
FUNCNN_INLINE void turn(Simd<float>::Vector* x) {
  using V = Simd<float>::Vector;
  V t[8];
  FUNCNN_UNROLL
  for (int i = 0; i < 8; i += 4) {
    __m256d ab0 = __m256d(_mm256_unpacklo_ps(x[i], x[i + 1])), ab1 = __m256d(_mm256_unpackhi_ps(x[i], x[i + 1]));
    __m256d cd0 = __m256d(_mm256_unpacklo_ps(x[i + 2], x[i + 3])),
            cd1 = __m256d(_mm256_unpackhi_ps(x[i + 2], x[i + 3]));
    t[i] = V(_mm256_unpacklo_pd(ab0, cd0));
    t[i + 1] = V(_mm256_unpackhi_pd(ab0, cd0));
    t[i + 2] = V(_mm256_unpacklo_pd(ab1, cd1));
    t[i + 3] = V(_mm256_unpackhi_pd(ab1, cd1));
  }
  FUNCNN_UNROLL
  for (int i = 0; i < 4; ++i) {
    x[i] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x20);
    x[i + 4] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x31);
  }
}
FUNCNN_INLINE void turn(Simd<double>::Vector* x) {
  __m256d a0 = _mm256_unpacklo_pd(x[0], x[1]), a1 = _mm256_unpackhi_pd(x[0], x[1]);
  __m256d b0 = _mm256_unpacklo_pd(x[2], x[3]), b1 = _mm256_unpackhi_pd(x[2], x[3]);
  x[0] = _mm256_permute2f128_pd(a0, b0, 0x20);
  x[1] = _mm256_permute2f128_pd(a1, b1, 0x20);
  x[2] = _mm256_permute2f128_pd(a0, b0, 0x31);
  x[3] = _mm256_permute2f128_pd(a1, b1, 0x31);
}
#endif

// out[t * step + i] = word t of line i, for `lines` lines that are `apart` from each other and dense along t.
template <class T, class S>
void interleave(const S* __restrict from, int64_t apart, int64_t lines, int64_t k, T* __restrict out, int64_t step) {
  using W = Word<T, S>;
  constexpr int group = W::group;
  int64_t i = 0;
#if defined(__AVX2__)
  using E = std::conditional_t<sizeof(T) == 4, float, double>;
  constexpr int lanes = Simd<E>::lanes;
  for (; i < lines; i += lanes) {
    const int some = int(std::min<int64_t>(lanes, lines - i));
    if (some < lanes && (!kMasks || some <= lanes / 4)) break;
    const S* line = from + i * apart;
    int64_t t = 0;
    for (; t + lanes <= k; t += lanes) {
      typename Simd<E>::Vector x[lanes];
      FUNCNN_UNROLL
      for (int q = 0; q < lanes; ++q)
        x[q] = q < some ? W::read_vector(line + q * apart + t * group) : typename Simd<E>::Vector{};
      turn(x);
      FUNCNN_UNROLL
      for (int q = 0; q < lanes; ++q) store_first<E>(reinterpret_cast<E*>(out + (t + q) * step + i), x[q], some);
    }
    for (; t < k; ++t)
      for (int q = 0; q < some; ++q) out[t * step + i + q] = W::read(line + q * apart + t * group);
  }
  i = std::min(i, lines);
#endif
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

// A few elements side by side.
template <class T, class S>
FUNCNN_INLINE void widen_few(const S* from, int64_t n, T* out) {
  if constexpr (kMasks && std::is_same_v<T, S>) {
    constexpr int lanes = Simd<T>::lanes;
    for (int64_t i = 0; i < n; i += lanes) {
      const int some = int(std::min<int64_t>(lanes, n - i));
      store_first<T>(out + i, load_first<T>(from + i, some), some);
    }
  } else {
    for (int64_t i = 0; i < n; ++i) out[i] = widen(from[i]);
  }
}

template <class T, class S>
void pack_a(MatrixView<S> a, int64_t rows, int64_t k, T* out) {
  Panels panels(rows);
  // Lines that are dense across panels go by together: a few of each panel at a time.
  const int64_t step = a.row == 1 && a.column != 1 ? 8 : k;
  for (int64_t first = 0; first < k; first += step) {
    const int64_t end = std::min(k, first + step);
    T* to = out;
    for (int64_t p = 0, row = 0; p < panels.count; row += panels.rows(p), ++p, to += k * kRows) {
      const int64_t n = panels.rows(p);
      const MatrixView<S> from = a.at(row, 0);
      if (a.column == 1) {
        interleave<T>(from.data, from.row, n, k, to, kRows);
      } else if (a.row == 1 && n == kRows) {
        for (int64_t t = first; t < end; ++t) widen_few(from.data + t * from.column, kRows, to + t * kRows);
      } else {
        for (int64_t t = first; t < end; ++t)
          for (int64_t i = 0; i < n; ++i) to[t * kRows + i] = widen(from.data[t * from.column + i * from.row]);
      }
    }
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

}  // namespace
}  // namespace funcnn::cpu
#endif
