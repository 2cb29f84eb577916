// The tiles of convolutions. They read the input where it lies: an element of it, repeated, meets a vector of channels
// of the result, so nothing of the input is rearranged.
#include "backends/cpu/conv.h"

#include "backends/cpu/simd/gemm_tile.h"
#include "backends/cpu/simd/of_this_set.h"

namespace funcnn::cpu {
extern const ConvTable FUNCNN_OF_THIS_SET(conv_table_);

#if defined(FUNCNN_VECTORS)
namespace {

#if defined(__AVX512F__)
constexpr int kConvRows = 14;  // nothing is packed for them, so they may be as many as registers hold
#else
constexpr int kConvRows = kRows;
#endif
static_assert(kConvRows <= kMostConvRows);

// A tile, rows x vectors, in registers: what a run adds to its rows [first, last). `dense`: rows of A follow each
// other, else its steps along the sum do. Three rows share a pointer, as addresses have a base and an index times 1
// or 2. Before each `every` steps it does what `before` says.
template <class T, int vectors, int rows, bool dense, int first, int last, class Before>
FUNCNN_INLINE void add_run(const ConvRun<T>& run, int64_t shift, int64_t step,
                           typename Simd<T>::Vector (&sum)[rows][vectors], int64_t every, Before before) {
  using V = typename Simd<T>::Vector;
  using L = typename Simd<T>::Loose;
  constexpr int lanes = Simd<T>::lanes, panel = Simd<T>::panel, bases = dense ? 1 : (rows + 2) / 3;
  const T* __restrict b = run.b;
  const T* a[bases];
#pragma GCC unroll 8
  for (int i = 0; i < bases; ++i) a[i] = run.a + shift + 3 * i * step;
  auto multiply = [&]() __attribute__((always_inline)) {
    V x[vectors];
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) x[j] = *reinterpret_cast<const L*>(b + j * lanes);
#pragma GCC unroll 16
    for (int i = first; i < last; ++i) {
      V y = simd::repeat(dense ? a[0][i] : a[dense ? 0 : i / 3][i % 3 * step]);
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) sum[i][j] = simd::fma(y, x[j], sum[i][j]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < bases; ++i) a[i] += dense ? step : 1;
    b += panel;
  };
  for (int64_t p = 0; p < run.length;) {
    before();
    for (const int64_t end = std::min(p + every, run.length); p < end; ++p) multiply();
  }
}

// A vector to memory past the caches, which then need not read the line first. `to`: aligned.
template <class T>
void store_past(T* to, typename Simd<T>::Vector v) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    _mm512_stream_ps(to, v);
  else
    _mm512_stream_pd(to, v);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    _mm256_stream_ps(to, v);
  else
    _mm256_stream_pd(to, v);
#else
  *reinterpret_cast<typename Simd<T>::Loose*>(to) = v;
#endif
}

template <class T, int vectors, int rows>
void along_tile(const ConvRun<T>* runs, int64_t count, int64_t shift, int64_t step, T* c, int64_t leading,
                ConvSoon<T>& soon, bool past) {
  using V = typename Simd<T>::Vector;
  using L = typename Simd<T>::Loose;
  constexpr int lanes = Simd<T>::lanes;
  // Row after row from one pointer: the compiler would keep one for each.
  auto for_each_row = [leading](auto* row, auto&& f) __attribute__((always_inline)) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      f(row, i);
      row += leading;
      asm("" : "+r"(row));
    }
  };
  const T* next = soon.c;
  int left = next ? rows : 0;
  auto ask = [&]() __attribute__((always_inline)) {
    if (left > 0) {
      for (int j = 0; j < vectors; ++j) __builtin_prefetch(next + j * lanes);
      next += leading;
      --left;
    }
    if (soon.rows > 0) {
      constexpr int line = 64 / int(sizeof(T));
      __builtin_prefetch(soon.a + soon.line * line);
      __builtin_prefetch(soon.a + soon.line * line + line);
      if ((soon.line += 2) >= soon.lines) {
        soon.line = 0;
        soon.a += soon.apart;
        --soon.rows;
      }
    }
  };
  V sum[rows][vectors] = {};
  for (const ConvRun<T>* run = runs; run != runs + count; ++run) {
    if (run->without == ConvEdge::none)
      add_run<T, vectors, rows, false, 0, rows>(*run, shift, step, sum, soon.every, ask);
    else if (run->without == ConvEdge::first)
      add_run<T, vectors, rows, false, 1, rows>(*run, shift, step, sum, soon.every, ask);
    else
      add_run<T, vectors, rows, false, 0, rows - 1>(*run, shift, step, sum, soon.every, ask);
  }
  if (past && (reinterpret_cast<uintptr_t>(c) | uintptr_t(leading) * sizeof(T)) % kBytes == 0)
    for_each_row(c, [&](T* to, int i) __attribute__((always_inline)) {
      for (int j = 0; j < vectors; ++j) store_past<T>(to + j * lanes, sum[i][j]);
    });
  else
    for_each_row(c, [&](T* to, int i) __attribute__((always_inline)) {
      for (int j = 0; j < vectors; ++j) *reinterpret_cast<L*>(to + j * lanes) = sum[i][j];
    });
}

template <class T, int vectors, int rows>
void across_tile(const ConvRun<T>* runs, int64_t count, int64_t shift, int64_t step, T* c) {
  using L = typename Simd<T>::Loose;
  constexpr int lanes = Simd<T>::lanes, panel = Simd<T>::panel;
  typename Simd<T>::Vector sum[rows][vectors] = {};
  for (int64_t r = 0; r < count; ++r)
    add_run<T, vectors, rows, true, 0, rows>(runs[r], shift, step, sum, runs[r].length, [] {});
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) *reinterpret_cast<L*>(c + i * panel + j * lanes) += sum[i][j];
}

template <class T, int rows>
void each_tile(const ConvRun<T>* runs, int64_t count, int64_t first, int64_t shift, int64_t step, T* c,
               int64_t leading) {
  using V = typename Simd<T>::Vector;
  using L = typename Simd<T>::Loose;
  V sum[rows] = {};
  for (int64_t r = 0; r < count; ++r) {
    V b = *reinterpret_cast<const L*>(runs[r].b + first);
    const T* __restrict a = runs[r].a + first + shift;
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) sum[i] = simd::fma(V(*reinterpret_cast<const L*>(a + i * step)), b, sum[i]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) *reinterpret_cast<L*>(c + i * leading) = sum[i];
}

template <class T, int taps>
void each_across_tile(const T* const* a, const T* __restrict b, int64_t length, int64_t step_a, int64_t step_b, T* c) {
  using V = typename Simd<T>::Vector;
  using L = typename Simd<T>::Loose;
  V sum[taps] = {};
  for (int64_t p = 0; p < length; ++p) {
    V x = *reinterpret_cast<const L*>(b + p * step_b);
#pragma GCC unroll 16
    for (int i = 0; i < taps; ++i) sum[i] = simd::fma(V(*reinterpret_cast<const L*>(a[i] + p * step_a)), x, sum[i]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < taps; ++i) *reinterpret_cast<L*>(c + i * Simd<T>::lanes) += sum[i];
}

template <class T, int... at>
void along(int rows, int64_t columns, const ConvRun<T>* runs, int64_t count, int64_t shift, int64_t step, T* c,
           int64_t leading, ConvSoon<T>& soon, bool past, std::integer_sequence<int, at...>) {
  constexpr int lanes = Simd<T>::lanes, panel = Simd<T>::panel;
  using Tile = void (*)(const ConvRun<T>*, int64_t, int64_t, int64_t, T*, int64_t, ConvSoon<T>&, bool);
  static constexpr Tile narrow[] = {along_tile<T, 1, at + 1>...}, wide[] = {along_tile<T, kVectors, at + 1>...};
  Tile tile = columns <= lanes ? narrow[rows - 1] : wide[rows - 1];
  if (columns == panel || columns == lanes) return tile(runs, count, shift, step, c, leading, soon, past);
  alignas(64) T edge[kConvRows * panel];
  soon.c = nullptr;
  tile(runs, count, shift, step, edge, panel, soon, false);
  for (int i = 0; i < rows; ++i) std::copy_n(edge + i * panel, columns, c + i * leading);
}

template <class T, int... at>
void across(int rows, int64_t columns, const ConvRun<T>* runs, int64_t count, int64_t shift, int64_t step, T* c,
            std::integer_sequence<int, at...>) {
  using Tile = void (*)(const ConvRun<T>*, int64_t, int64_t, int64_t, T*);
  static constexpr Tile narrow[] = {across_tile<T, 1, at + 1>...}, wide[] = {across_tile<T, kVectors, at + 1>...};
  (columns <= Simd<T>::lanes ? narrow : wide)[rows - 1](runs, count, shift, step, c);
}

template <class T, int... at>
void each(int rows, const ConvRun<T>* runs, int64_t count, int64_t first, int64_t shift, int64_t step, T* c,
          int64_t leading, std::integer_sequence<int, at...>) {
  using Tile = void (*)(const ConvRun<T>*, int64_t, int64_t, int64_t, int64_t, T*, int64_t);
  static constexpr Tile tiles[] = {each_tile<T, at + 1>...};
  tiles[rows - 1](runs, count, first, shift, step, c, leading);
}

template <class T, int... at>
void each_across(int taps, const T* const* a, const T* b, int64_t length, int64_t step_a, int64_t step_b, T* c,
                 std::integer_sequence<int, at...>) {
  using Tile = void (*)(const T* const*, const T*, int64_t, int64_t, int64_t, T*);
  static constexpr Tile tiles[] = {each_across_tile<T, at + 1>...};
  tiles[taps - 1](a, b, length, step_a, step_b, c);
}

template <class T>
constexpr ConvLoops<T> loops() {
  using Counts = std::make_integer_sequence<int, kConvRows>;
  return {kConvRows,
          Simd<T>::panel,
          Simd<T>::lanes,
          [](int rows, int64_t columns, const ConvRun<T>* runs, int64_t count, int64_t shift, int64_t step, T* c,
             int64_t leading, ConvSoon<T>& soon,
             bool past) { along(rows, columns, runs, count, shift, step, c, leading, soon, past, Counts()); },
          [](int rows, int64_t columns, const ConvRun<T>* runs, int64_t count, int64_t shift, int64_t step, T* c) {
            across(rows, columns, runs, count, shift, step, c, Counts());
          },
          [](int rows, const ConvRun<T>* runs, int64_t count, int64_t first, int64_t shift, int64_t step, T* c,
             int64_t leading) { each(rows, runs, count, first, shift, step, c, leading, Counts()); },
          [](int taps, const T* const* a, const T* b, int64_t length, int64_t step_a, int64_t step_b, T* c) {
            each_across(taps, a, b, length, step_a, step_b, c, Counts());
          }};
}

template <class T, class S>
void widen_all(const S* __restrict from, int64_t n, T* __restrict out) {
  constexpr int lanes = Simd<T>::lanes;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) *reinterpret_cast<typename Simd<T>::Loose*>(out + i) = load_wide<T>(from + i);
  for (; i < n; ++i) out[i] = widen(from[i]);
}

// Channels near each other are permuted within a vector.
template <class T, class S>
void choose(const S* __restrict from, int64_t positions, int64_t step, const int64_t* index, int64_t count,
            int64_t width, T* __restrict out) {
  int64_t done = 0;
#if defined(__AVX2__)
  if constexpr (std::is_same_v<S, float>) {
    constexpr int lanes = Simd<float>::lanes;
    for (; done + lanes <= count; done += lanes) {
      int64_t low = index[done], high = low;
      for (int64_t q = done; q < done + lanes; ++q) {
        low = index[q] < low ? index[q] : low;
        high = index[q] > high ? index[q] : high;
      }
      if (high - low >= lanes) break;
      int32_t within[lanes];
      for (int i = 0; i < lanes; ++i) within[i] = int32_t(index[done + i] - low);
      const float* at = from + low;
      float* to = out + done;
#if defined(__AVX512F__)
      const auto loaded = __mmask16((2u << (high - low)) - 1);
      const __m512i places = _mm512_loadu_si512(within);
      for (int64_t p = 0; p < positions; ++p)
        _mm512_storeu_ps(to + p * width, _mm512_permutexvar_ps(places, _mm512_maskz_loadu_ps(loaded, at + p * step)));
#else
      const __m256i numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
      const __m256i loaded = _mm256_cmpgt_epi32(_mm256_set1_epi32(int(high - low) + 1), numbers);
      const __m256i places = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(within));
      for (int64_t p = 0; p < positions; ++p)
        _mm256_storeu_ps(to + p * width, _mm256_permutevar8x32_ps(_mm256_maskload_ps(at + p * step, loaded), places));
#endif
    }
  }
#endif
  for (int64_t p = 0; p < positions; ++p) {
    for (int64_t q = done; q < count; ++q) out[p * width + q] = widen(from[p * step + index[q]]);
    std::fill(out + p * width + count, out + (p + 1) * width, T(0));
  }
}

// Columns that are few, but side by side, are copied as they are.
template <class T, class S>
void pack(MatrixView<S> b, int64_t k, int64_t columns, T* out) {
  constexpr int panel = Simd<T>::panel;
  if (b.column != 1 || columns == panel || b.row == 1) return pack_b_panel(b, k, columns, out);
  for (int64_t t = 0; t < k; ++t, out += panel) {
    widen_all(b.data + t * b.row, columns, out);
    std::fill(out + columns, out + panel, T(0));
  }
}

template <class T, class S>
constexpr ConvPacking<T, S> packing() {
  return {pack<T, S>, widen_all<T, S>, choose<T, S>,
          [](const T* from, int64_t k, int64_t columns, T* out, int64_t step) {
            interleave<T>(from, Simd<T>::panel, k, columns, out, step);
          }};
}

}  // namespace

const ConvTable FUNCNN_OF_THIS_SET(conv_table_) = {
    loops<float>(),
    loops<double>(),
    packing<float, float>(),
    packing<double, double>(),
    packing<float, float16_t>(),
    packing<float, bfloat16_t>(),
};
#else
const ConvTable FUNCNN_OF_THIS_SET(conv_table_) = {};
#endif

}  // namespace funcnn::cpu
