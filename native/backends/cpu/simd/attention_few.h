// Attention of a few queries, as when text is generated: keys and values go by once, in their own order.
#pragma once

#include "backends/cpu/simd/attention_forward.h"

namespace funcnn::cpu {
namespace {

constexpr int kRowsTogether = 4;

#if defined(FUNCNN_VECTORS)

// s[r * kFewKeys + j] = the product of row r of q and key j. `room`: rows * lanes * lanes elements and a square more.
template <class T, class E, int rows>
void score_keys(int64_t n, int64_t depth, const T* q, int64_t q_row, const E* k, int64_t row, T* s, T* room) {
  using V = typename Simd<T>::Vector;
  using L = typename Simd<T>::Loose;
  constexpr int lanes = Simd<T>::lanes;
  T* turned = room + rows * lanes * lanes;
  for (int64_t first = 0; first < n; first += lanes) {
    int64_t count = std::min<int64_t>(lanes, n - first);
    if (count < lanes) std::fill_n(room, rows * lanes * lanes, T(0));
    for (int64_t j = 0; j < count; ++j) {
      const E* key = k + (first + j) * row;
      V sum[rows];
      FUNCNN_UNROLL
      for (int r = 0; r < rows; ++r) sum[r] = V{};
      int64_t d = 0;
      for (; d + lanes <= depth; d += lanes) {
        V x = load_wide<T>(key + d);
        FUNCNN_UNROLL
        for (int r = 0; r < rows; ++r) sum[r] = simd::fma(*reinterpret_cast<const L*>(q + r * q_row + d), x, sum[r]);
      }
      FUNCNN_UNROLL
      for (int r = 0; r < rows; ++r) *reinterpret_cast<L*>(room + (r * lanes + j) * lanes) = sum[r];
      for (; d < depth; ++d)
        for (int r = 0; r < rows; ++r) room[(r * lanes + j) * lanes] += q[r * q_row + d] * T(widen(key[d]));
    }
    for (int r = 0; r < rows; ++r) {
      interleave<T>(room + r * lanes * lanes, lanes, lanes, lanes, turned, lanes);
      V total = *reinterpret_cast<const L*>(turned);
      for (int i = 1; i < lanes; ++i) total += *reinterpret_cast<const L*>(turned + i * lanes);
      *reinterpret_cast<L*>(s + r * kFewKeys + first) = total;
    }
  }
}

template <class T, class E, int rows, int vectors>
void add_values(int64_t n, const T* p, const E* v, int64_t row, T* sum, int64_t sum_row) {
  using V = typename Simd<T>::Vector;
  using L = typename Simd<T>::Loose;
  constexpr int lanes = Simd<T>::lanes;
  V total[rows][vectors];
  FUNCNN_UNROLL
  for (int r = 0; r < rows; ++r) FUNCNN_UNROLL
  for (int i = 0; i < vectors; ++i) total[r][i] = *reinterpret_cast<const L*>(sum + r * sum_row + i * lanes);
  for (int64_t j = 0; j < n; ++j) {
    const E* value = v + j * row;
    V x[vectors];
    FUNCNN_UNROLL
    for (int i = 0; i < vectors; ++i) x[i] = load_wide<T>(value + i * lanes);
    FUNCNN_UNROLL
    for (int r = 0; r < rows; ++r) FUNCNN_UNROLL
    for (int i = 0; i < vectors; ++i) total[r][i] = simd::fma(simd::repeat(p[r * kFewKeys + j]), x[i], total[r][i]);
  }
  FUNCNN_UNROLL
  for (int r = 0; r < rows; ++r) FUNCNN_UNROLL
  for (int i = 0; i < vectors; ++i) *reinterpret_cast<L*>(sum + r * sum_row + i * lanes) = total[r][i];
}

#else

template <class T, class E, int rows>
void score_keys(int64_t n, int64_t depth, const T* q, int64_t q_row, const E* k, int64_t row, T* s, T*) {
  for (int r = 0; r < rows; ++r)
    for (int64_t j = 0; j < n; ++j) {
      T total = 0;
      for (int64_t d = 0; d < depth; ++d) total += q[r * q_row + d] * T(widen(k[j * row + d]));
      s[r * kFewKeys + j] = total;
    }
}

#endif

// sum[r] += the values weighted with p[r].
template <class T, class E, int rows>
void add_all_values(int64_t n, int64_t values, const T* p, const E* v, int64_t row, T* sum, int64_t sum_row) {
  int64_t d = 0;
#if defined(FUNCNN_VECTORS)
  constexpr int lanes = Simd<T>::lanes;
  for (; d + 4 * lanes <= values; d += 4 * lanes) add_values<T, E, rows, 4>(n, p, v + d, row, sum + d, sum_row);
  for (; d + lanes <= values; d += lanes) add_values<T, E, rows, 1>(n, p, v + d, row, sum + d, sum_row);
#endif
  for (int r = 0; r < rows; ++r)
    for (int64_t e = d; e < values; ++e)
      for (int64_t j = 0; j < n; ++j) sum[r * sum_row + e] += p[r * kFewKeys + j] * T(widen(v[j * row + e]));
}

// f(rows as a constant).
template <class F>
void with_rows(int64_t rows, F&& f) {
  switch (rows) {
    case 1:
      return f(std::integral_constant<int, 1>());
    case 2:
      return f(std::integral_constant<int, 2>());
    case 3:
      return f(std::integral_constant<int, 3>());
    default:
      return f(std::integral_constant<int, 4>());
  }
}

// f(first row of keys or values, step) where they lie, or copied where their elements are apart.
template <class T, class S, class F>
void with_rows_of(MatrixView<S> m, int64_t rows, int64_t length, T* room, F&& f) {
  if (m.column == 1) return f(m.data, m.row);
  Dense<T> d = dense(m, rows, length, room);
  f(d.data, d.row);
}

template <class S>
void few(const AttentionSizes& sizes, const AttentionHead<S>& head, int64_t begin, int64_t end,
         typename WideOf<S>::type* part, std::byte* memory) {
  using T = typename WideOf<S>::type;
  Room room{memory};
  int64_t rows = sizes.rows(), width = sizes.values + 2;
  T* q = room.take<T>(rows * sizes.depth);
  T* s = room.take<T>(rows * kFewKeys);
  T* squares = room.take<T>((kRowsTogether + 1) * 16 * 16);
  T* copied = room.take<T>(kFewKeys * std::max(sizes.depth, sizes.values));
  for (int64_t r = 0; r < rows; ++r) {
    const S* from = head.q.at(r / sizes.queries, r % sizes.queries);
    for (int64_t d = 0; d < sizes.depth; ++d)
      q[r * sizes.depth + d] = T(sizes.scale) * T(widen(from[d * head.q.column]));
    part[r * width] = kMinusInfinity<T>;
    std::fill_n(part + r * width + 1, sizes.values + 1, T(0));
  }
  for (int64_t first = begin; first < end; first += kFewKeys) {
    int64_t n = std::min(kFewKeys, end - first);
    with_rows_of(head.k.at(first, 0), n, sizes.depth, copied, [&](const auto* k, int64_t step) {
      using E = std::remove_cv_t<std::remove_pointer_t<decltype(k)>>;
      for (int64_t r = 0; r < rows; r += kRowsTogether)
        with_rows(rows - r, [&](auto count) {
          score_keys<T, E, count()>(n, sizes.depth, q + r * sizes.depth, sizes.depth, k, step, s + r * kFewKeys,
                                    squares);
        });
    });
    for (int64_t r = 0; r < rows; ++r) {
      int64_t g = r / sizes.queries, t = r % sizes.queries;
      T *row = s + r * kFewKeys, *own = part + r * width;
      if (sizes.causal)
        for (int64_t j = std::clamp<int64_t>(Columns::seen(sizes, t) - first, 0, n); j < n; ++j)
          row[j] = kMinusInfinity<T>;
      if (head.mask.data) {
        const std::byte* mask = head.mask.at(g, t) + first * head.mask.column;
        for (int64_t j = 0; j < n; ++j) {
          const std::byte* at = mask + j * head.mask.column;
          if (!sizes.boolean)
            row[j] += T(widen(*reinterpret_cast<const S*>(at)));
          else if (at[0] == std::byte(0))
            row[j] = kMinusInfinity<T>;
        }
      }
      T most = own[0];
      for (int64_t j = 0; j < n; ++j) most = row[j] > most ? row[j] : most;
      T shift = most == kMinusInfinity<T> ? T(0) : most, fade = weight(own[0] - shift), total = 0;
      for (int64_t j = 0; j < n; ++j) row[j] = weight(row[j] - shift);
      for (int64_t j = 0; j < n; ++j) total += row[j];
      own[0] = most;
      own[1] = own[1] * fade + total;
      for (int64_t d = 0; d < sizes.values; ++d) own[2 + d] *= fade;
    }
    with_rows_of(head.v.at(first, 0), n, sizes.values, copied, [&](const auto* v, int64_t step) {
      using E = std::remove_cv_t<std::remove_pointer_t<decltype(v)>>;
      for (int64_t r = 0; r < rows; r += kRowsTogether)
        with_rows(rows - r, [&](auto count) {
          add_all_values<T, E, count()>(n, sizes.values, s + r * kFewKeys, v, step, part + r * width + 2, width);
        });
    });
  }
}

}  // namespace
}  // namespace funcnn::cpu
