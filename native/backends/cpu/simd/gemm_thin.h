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

template <class Steps, int... at>
auto pick_dots(int64_t rows, int64_t columns, std::integer_sequence<int, at...>) {
  using Run = decltype(&Steps::template dots<1, 1>);
  static constexpr Run table[] = {&Steps::template dots<at / kDotColumns + 1, at % kDotColumns + 1>...};
  return table[(rows - 1) * kDotColumns + columns - 1];
}

template <class Steps>
void dots_along(int64_t m, int64_t n, int64_t k, MatrixView<typename Steps::Source> a,
                MatrixView<typename Steps::Source> b, typename Steps::Sum* c, int64_t leading) {
  auto block = [&](int64_t i, int64_t j) {
    int64_t rows = std::min<int64_t>(kDotRows, m - i), columns = std::min<int64_t>(kDotColumns, n - j);
    pick_dots<Steps>(rows, columns, std::make_integer_sequence<int, kDotRows * kDotColumns>())(
        k, a.data + i * a.row, a.row, b.data + j * b.column, b.column, c + i * leading + j, leading);
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
FUNCNN_INLINE void run_dots(int64_t k, const S* __restrict a, int64_t row, const S* __restrict b, int64_t column, T* c,
                            int64_t leading) {
  using V = typename Simd<T>::Vector;
  V sum[rows][columns];
  FUNCNN_UNROLL
  for (int i = 0; i < rows; ++i) {
    FUNCNN_UNROLL
    for (int j = 0; j < columns; ++j) sum[i][j] = V{};
  }
  // Lines are often a multiple of a page apart, where the processor's own guesses get in each other's way. After the
  // end of these lines come the next ones.
  constexpr int64_t ahead = 1024 / int64_t(sizeof(S));
  int64_t t = 0;
  for (; t + step <= k; t += step) {
    const bool past = t + ahead >= k;
    const int64_t soon_a = t + ahead + (past ? rows * row - k : 0),
                  soon_b = t + ahead + (past ? columns * column - k : 0);
    V y[columns];
    FUNCNN_UNROLL
    for (int j = 0; j < columns; ++j) {
      __builtin_prefetch(b + j * column + soon_b);
      y[j] = Steps::load(b + j * column + t);
    }
    FUNCNN_UNROLL
    for (int i = 0; i < rows; ++i) {
      __builtin_prefetch(a + i * row + soon_a);
      V x = Steps::load(a + i * row + t);
      FUNCNN_UNROLL
      for (int j = 0; j < columns; ++j) sum[i][j] = Steps::add_products(sum[i][j], x, y[j]);
    }
  }
  alignas(64) T totals[rows * columns];
  sum_lanes<T>(&sum[0][0], rows * columns, totals);
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) {
      T total = totals[i * columns + j];
      for (int64_t u = t; u < k; ++u) total = simd::fma(T(widen(a[i * row + u])), T(widen(b[j * column + u])), total);
      c[i * leading + j] = total;
    }
}

// ---- across K: a strip of C stays in cache while rows of B go by, `depth` of them at a time

template <int rows, int depth, class S, class T>
void add_rows(int64_t columns, const T* x, const S* __restrict b, int64_t step, bool prefetch, T* __restrict c,
              int64_t leading, bool add) {
  using V = typename Simd<T>::Vector;
  using L = typename Simd<T>::Loose;
  constexpr int lanes = Simd<T>::lanes;
  V left[rows][depth];
  FUNCNN_UNROLL
  for (int i = 0; i < rows; ++i) {
    FUNCNN_UNROLL
    for (int t = 0; t < depth; ++t) left[i][t] = simd::repeat(x[i * depth + t]);
  }
  int64_t j = 0;
  for (; j + lanes <= columns; j += lanes) {
    V y[depth];
    FUNCNN_UNROLL
    for (int t = 0; t < depth; ++t) {
      y[t] = load_wide<T>(b + t * step + j);
      if (prefetch) __builtin_prefetch(b + (t + depth) * step + j);
    }
    FUNCNN_UNROLL
    for (int i = 0; i < rows; ++i) {
      L* to = reinterpret_cast<L*>(c + i * leading + j);
      V total = add ? V(*to) : V{};
      FUNCNN_UNROLL
      for (int t = 0; t < depth; ++t) total = simd::fma(left[i][t], y[t], total);
      *to = total;
    }
  }
  for (; j < columns; ++j)
    for (int i = 0; i < rows; ++i) {
      T total = add ? c[i * leading + j] : T(0);
      for (int t = 0; t < depth; ++t) total = simd::fma(x[i * depth + t], T(widen(b[t * step + j])), total);
      c[i * leading + j] = total;
    }
}

template <class S, class T, int rows>
void strips(int64_t n, int64_t k, MatrixView<S> a, MatrixView<S> b, T* c, int64_t leading) {
  constexpr int depth = rows <= 2 ? 8 : rows <= 4 ? 4 : 2;
  constexpr int64_t strip = 4096 / std::bit_ceil(unsigned(rows));
  for (int64_t j = 0; j < n; j += strip) {
    int64_t columns = std::min(strip, n - j);
    T x[rows * depth];
    int64_t t = 0;
    for (; t + depth <= k; t += depth) {
      for (int i = 0; i < rows; ++i)
        for (int u = 0; u < depth; ++u) x[i * depth + u] = T(widen(*a.at(i, t + u).data));
      add_rows<rows, depth>(columns, x, b.at(t, j).data, b.row, t + 2 * depth <= k, c + j, leading, t > 0);
    }
    for (; t < k; ++t) {
      for (int i = 0; i < rows; ++i) x[i] = T(widen(*a.at(i, t).data));
      add_rows<rows, 1>(columns, x, b.at(t, j).data, b.row, false, c + j, leading, t > 0);
    }
  }
}

template <class S, class T, int... rows>
auto pick_strips(int64_t count, std::integer_sequence<int, rows...>) {
  static constexpr decltype(&strips<S, T, 1>) table[] = {strips<S, T, rows + 1>...};
  return table[count - 1];
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
    dots_along<Steps>(m, n, k, a, b, c, leading);
    return true;
  }
  if (deep && dense_a && m >= 4 && n <= kFewColumns && k <= kDeepestTurned) {
    Source* turned = reinterpret_cast<Source*>(room);
    for (int64_t t = 0; t < k; ++t)
      for (int64_t j = 0; j < n; ++j) turned[j * k + t] = *b.at(t, j).data;
    dots_along<Steps>(m, n, k, a, {turned, 1, k}, c, leading);
    return true;
  }
  if (m <= kStripRows && b.column == 1 && n >= kWideStrip) {
    pick_strips<Source, Sum>(m, std::make_integer_sequence<int, kStripRows>())(n, k, a, b, c, leading);
    return true;
  }
  return false;
}

}  // namespace
}  // namespace funcnn::cpu
#endif
