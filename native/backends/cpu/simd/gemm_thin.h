// Products of few rows or columns, which are bound by reading the large operand: it is read once, in its own order.
#pragma once

#include <bit>

#include "backends/cpu/gemm_blocks.h"
#include "backends/cpu/simd/gemm_tile.h"

#if defined(FUNCNN_VECTORS)
namespace funcnn::cpu {
namespace {

// ---- along K: both operands are dense there

// Lines of each operand that go by together: as many sums as there are registers for.
#if defined(__AVX512F__)
constexpr int kDotRows = 6;
#else
constexpr int kDotRows = 4;
#endif
constexpr int kDotColumns = 4;

// Where dots read columns of B: line j of the first vectors at data + j * column, those of the next `step` later.
// `pass`: they go by once, while the rows of A, which are few, stay in cache; else it is the other way round.
template <class S>
struct DotColumns {
  const S* data;
  int64_t column, step;
  bool pass;
};

template <class Steps, int... at>
auto pick_dots(int64_t rows, int64_t columns, std::integer_sequence<int, at...>) {
  using Run = decltype(&Steps::template dots<1, 1>);
  static constexpr Run table[] = {&Steps::template dots<at / kDotColumns + 1, at % kDotColumns + 1>...};
  return table[(rows - 1) * kDotColumns + columns - 1];
}

// Vectors of a few columns lie side by side: where lines are far apart, all of them would be in one place of the cache.
inline int64_t turned_depth(int64_t k, int64_t step) { return (k + step - 1) / step * step; }
template <int64_t step, class S>
void turn_columns(MatrixView<S> b, int64_t n, int64_t k, S* out) {
  for (int64_t j0 = 0; j0 < n; j0 += kDotColumns, out += kDotColumns * turned_depth(k, step)) {
    const int64_t columns = std::min<int64_t>(kDotColumns, n - j0);
    for (int64_t t = 0; t < k; ++t)
      for (int64_t j = 0; j < columns; ++j)
        out[t / step * step * columns + j * step + t % step] = *b.at(t, j0 + j).data;
  }
}

// `turned`: B is as turn_columns has left it.
template <class Steps>
void dots_along(int64_t m, int64_t n, int64_t k, MatrixView<typename Steps::Source> a,
                MatrixView<typename Steps::Source> b, bool turned, typename Steps::Sum* c, int64_t leading) {
  constexpr int64_t step = Steps::dot_step;
  auto block = [&](int64_t i, int64_t j) {
    int64_t rows = std::min<int64_t>(kDotRows, m - i), columns = std::min<int64_t>(kDotColumns, n - j);
    const DotColumns<typename Steps::Source> right =
        turned ? DotColumns<typename Steps::Source>{b.data + j * turned_depth(k, step), step, columns * step, false}
               : DotColumns<typename Steps::Source>{b.data + j * b.column, b.column, step, m <= n};
    pick_dots<Steps>(rows, columns, std::make_integer_sequence<int, kDotRows * kDotColumns>())(
        k, a.data + i * a.row, a.row, right, c + i * leading + j, leading);
  };
  // The operand with fewer lines is gone over again for every few of the other.
  if (m <= n) {
    for (int64_t j = 0; j < n; j += kDotColumns)
      for (int64_t i = 0; i < m; i += kDotRows) block(i, j);
  } else {
    for (int64_t i = 0; i < m; i += kDotRows)
      for (int64_t j = 0; j < n; j += kDotColumns) block(i, j);
  }
}

// Sums over lanes, in their order: of `count` vectors at once, at `out` one after the other.
template <class T>
void sum_lanes(const typename Simd<T>::Vector* sums, int count, T* out) {
  constexpr int lanes = Simd<T>::lanes;
  alignas(64) T lines[lanes * lanes], turned[lanes * lanes] = {};
  using V = typename Simd<T>::Vector;
  for (int first = 0; first < count; first += lanes) {
    int some = std::min(lanes, count - first);
    for (int i = 0; i < some; ++i) *reinterpret_cast<V*>(lines + i * lanes) = sums[first + i];
    interleave<T>(lines, lanes, some, lanes, turned, lanes);
    V total = *reinterpret_cast<const V*>(turned);
    for (int i = 1; i < lanes; ++i) total += *reinterpret_cast<const V*>(turned + i * lanes);
    for (int i = 0; i < some; ++i) out[first + i] = total[i];
  }
}

// rows x columns dots of K. Steps::add_products(sum, a, b): products of `step` elements of each line.
template <class Steps, int rows, int columns, int step, class S, class T>
FUNCNN_INLINE void run_dots(int64_t k, const S* __restrict a, int64_t row, DotColumns<S> right, T* c, int64_t leading) {
  using V = typename Simd<T>::Vector;
  V sum[rows][columns];
  FUNCNN_UNROLL
  for (int i = 0; i < rows; ++i) {
    FUNCNN_UNROLL
    for (int j = 0; j < columns; ++j) sum[i][j] = V{};
  }
  // Lines are often a multiple of a page apart, where the processor's own guesses get in each other's way, so those
  // that go by are asked for: after their end the next ones. Asking for what is in cache would only hold them up.
  constexpr int64_t ahead = 512 / int64_t(sizeof(S));
  const S* __restrict b = right.data;
  const int64_t column = right.column;
  int64_t t = 0;
  auto multiply_all = [&]<bool pass>() __attribute__((always_inline)) {
    for (; t + step <= k; t += step, b += right.step) {
      const int64_t soon = ahead + (t + ahead >= k ? (pass ? columns * column : rows * row) - k : 0);
      V y[columns];
      FUNCNN_UNROLL
      for (int j = 0; j < columns; ++j) {
        if constexpr (pass) __builtin_prefetch(b + j * column + soon);
        y[j] = Steps::load(b + j * column);
      }
      FUNCNN_UNROLL
      for (int i = 0; i < rows; ++i) {
        if constexpr (!pass) __builtin_prefetch(a + i * row + t + soon);
        V x = Steps::load(a + i * row + t);
        FUNCNN_UNROLL
        for (int j = 0; j < columns; ++j) sum[i][j] = Steps::add_products(sum[i][j], x, y[j]);
      }
    }
  };
  if (right.pass)
    multiply_all.template operator()<true>();
  else
    multiply_all.template operator()<false>();
  alignas(64) T totals[rows * columns];
  sum_lanes<T>(&sum[0][0], rows * columns, totals);
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) {
      T total = totals[i * columns + j];
      for (int64_t u = t; u < k; ++u)
        total = simd::fma(T(widen(a[i * row + u])), T(widen(b[j * column + u - t])), total);
      c[i * leading + j] = total;
    }
}

// ---- across K: sums of a strip of columns stay in cache while rows of B go by, `kStripDepth` of them at a time

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kStripDepth = 8;
#else
constexpr int kStripDepth = 4;  // half as many registers
#endif

// A vector of which `count` elements are there.
template <class T, class S>
typename Simd<T>::Vector load_some(const S* from, int64_t count) {
  S padded[Simd<T>::lanes] = {};
  std::copy_n(from, std::clamp<int64_t>(count, 0, Simd<T>::lanes), padded);
  return load_wide<T>(padded);
}

// sums += x b for `depth` rows of B. x: row by row of A; sums: panel by panel of columns, all rows of each.
template <int depth, class S, class T>
void add_rows(int64_t rows, int64_t columns, const T* __restrict x, const S* __restrict b, int64_t step, bool more,
              T* __restrict sums) {
  using V = typename Simd<T>::Vector;
  constexpr int lanes = Simd<T>::lanes, panel = Simd<T>::panel;
  const int64_t ahead = more ? depth * step : 0;
  for (int64_t j = 0; j < columns; j += panel, sums += rows * panel) {
    V y[depth][kVectors];
    const bool whole = columns - j >= panel;
    FUNCNN_UNROLL
    for (int t = 0; t < depth; ++t) {
      FUNCNN_UNROLL
      for (int q = 0; q < kVectors; ++q) {
        const S* from = b + t * step + j + q * lanes;
        __builtin_prefetch(from + ahead);
        y[t][q] = whole ? load_wide<T>(from) : load_some<T>(from, columns - j - q * lanes);
      }
    }
    for (int64_t i = 0; i < rows; ++i) {
      V* to = reinterpret_cast<V*>(sums + i * panel);
      V total[kVectors];
      FUNCNN_UNROLL
      for (int q = 0; q < kVectors; ++q) total[q] = to[q];
      FUNCNN_UNROLL
      for (int t = 0; t < depth; ++t) {
        V left = simd::repeat(x[i * depth + t]);
        FUNCNN_UNROLL
        for (int q = 0; q < kVectors; ++q) total[q] = simd::fma(left, y[t][q], total[q]);
      }
      FUNCNN_UNROLL
      for (int q = 0; q < kVectors; ++q) to[q] = total[q];
    }
  }
}

template <class S, class T>
void strips(int64_t m, int64_t n, int64_t k, MatrixView<S> a, MatrixView<S> b, T* c, int64_t leading, T* room) {
  constexpr int64_t panel = Simd<T>::panel;
  const int64_t strip = strip_columns(m), deep = strip_depth(m);
  T *sums = room, *x = room + m * strip;
  // f(sums, C, columns) for each row of each panel of a strip.
  auto each = [&](int64_t j, int64_t columns, auto f) {
    for (int64_t q = 0; q < columns; q += panel)
      for (int64_t i = 0; i < m; ++i)
        f(sums + q * m + i * panel, c + i * leading + j + q, std::min(panel, columns - q));
  };
  for (int64_t k0 = 0; k0 < k; k0 += deep) {
    const int64_t some = std::min(deep, k - k0), whole = some / kStripDepth * kStripDepth;
    for (int64_t t = 0; t < some; ++t) {
      const int64_t depth = t < whole ? kStripDepth : 1, first = t / depth * depth;
      for (int64_t i = 0; i < m; ++i) x[first * m + i * depth + t - first] = T(widen(*a.at(i, k0 + t).data));
    }
    for (int64_t j = 0; j < n; j += strip) {
      const int64_t columns = std::min(strip, n - j);
      std::fill_n(sums, (columns + panel - 1) / panel * panel * m, T(0));
      if (k0 > 0) each(j, columns, [](T* sum, const T* from, int64_t count) { std::copy_n(from, count, sum); });
      for (int64_t t = 0; t < whole; t += kStripDepth)
        add_rows<kStripDepth>(m, columns, x + t * m, b.at(k0 + t, j).data, b.row, t + 2 * kStripDepth <= some, sums);
      for (int64_t t = whole; t < some; ++t)
        add_rows<1>(m, columns, x + t * m, b.at(k0 + t, j).data, b.row, false, sums);
      each(j, columns, [](const T* sum, T* to, int64_t count) { std::copy_n(sum, count, to); });
    }
  }
}

// ---- which way a product goes: a matter of its shape and layout alone

// Whether the product was one of few rows or columns, and is done.
template <class Steps>
bool multiply_thin(int64_t m, int64_t n, int64_t k, MatrixView<typename Steps::Source> a,
                   MatrixView<typename Steps::Source> b, typename Steps::Sum* c, int64_t leading, std::byte* room) {
  using Source = typename Steps::Source;
  using Sum = typename Steps::Sum;
  constexpr int lanes = Simd<Sum>::lanes;
  const bool deep = k >= 4 * lanes, dense_a = a.column == 1;
  if (deep && dense_a && b.row == 1 && (m <= 8 || n <= kFewColumns)) {
    dots_along<Steps>(m, n, k, a, b, false, c, leading);
    return true;
  }
  if (deep && dense_a && m >= 4 && n <= kFewColumns && k <= kDeepestTurned) {
    Source* turned = reinterpret_cast<Source*>(room);
    turn_columns<Steps::dot_step>(b, n, k, turned);
    dots_along<Steps>(m, n, k, a, {turned, 1, k}, true, c, leading);
    return true;
  }
  if (b.column == 1 && by_strips(m, n, k * b.row * int64_t(sizeof(Source)), sizeof(Source))) {
    strips<Source, Sum>(m, n, k, a, b, c, leading, reinterpret_cast<Sum*>(room));
    return true;
  }
  return false;
}

}  // namespace
}  // namespace funcnn::cpu
#endif
