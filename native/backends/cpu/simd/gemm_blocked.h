// A product on one thread: blocks of packed operands that stay in cache, or rows of dots where there are few columns.
// How a product multiplies is given by its steps:
//   Source, Word, Sum       types of the operands, of a packed panel and of what is accumulated
//   group                   elements along K in a word
//   direct                  whether B can be read where it lies
//   pack_a, pack_b_panel    as in gemm_tile.h
//   tile<vectors, rows>     as in gemm_tile.h
//   dots<rows, columns>     rows x columns of A B where the rows of A and the columns of B are dense
#pragma once

#include "backends/cpu/gemm_blocks.h"
#include "backends/cpu/simd/gemm_tile.h"

#if defined(FUNCNN_VECTORS)
namespace funcnn::cpu {
namespace {

template <class Steps, int... at>
auto pick_dots(int64_t rows, int64_t columns, std::integer_sequence<int, at...>) {
  using Run = decltype(&Steps::template dots<1, 1>);
  static constexpr Run table[] = {&Steps::template dots<at / 4 + 1, at % 4 + 1>...};
  return table[(rows - 1) * 4 + columns - 1];
}

template <class Steps>
void few_dots(int64_t m, int64_t n, int64_t k, MatrixView<typename Steps::Source> a,
              MatrixView<typename Steps::Source> b, typename Steps::Sum* c, int64_t leading) {
  auto block = [&](int64_t i, int64_t j) {
    int64_t rows = std::min<int64_t>(4, m - i), columns = std::min<int64_t>(4, n - j);
    pick_dots<Steps>(rows, columns, std::make_integer_sequence<int, 16>())(
        k, a.data + i * a.row, a.row, b.data + j * b.column, b.column, c + i * leading + j, leading);
  };
  // The operand with fewer lines is gone over again for every few of the other.
  if (m <= n) {
    for (int64_t j = 0; j < n; j += 4)
      for (int64_t i = 0; i < m; i += 4) block(i, j);
  } else {
    for (int64_t i = 0; i < m; i += 4)
      for (int64_t j = 0; j < n; j += 4) block(i, j);
  }
}

// The product into C of the type that is accumulated in.
template <class Steps>
void multiply(int64_t m, int64_t n, int64_t k, MatrixView<typename Steps::Source> a,
              MatrixView<typename Steps::Source> b, typename Steps::Sum* c, int64_t leading, std::byte* room) {
  using Source = typename Steps::Source;
  using Word = typename Steps::Word;
  using Sum = typename Steps::Sum;
  constexpr int lanes = Simd<Sum>::lanes, panel = Simd<Sum>::panel, group = Steps::group;
  if ((a.column == 1 || k == 1) && (b.row == 1 || k == 1) && (m <= 4 || n <= kFewColumns))
    return few_dots<Steps>(m, n, k, a, b, c, leading);
  if (a.column == 1 && m >= 4 && n <= kFewColumns && k <= kDeepestTurned) {
    Source* turned = reinterpret_cast<Source*>(room);
    for (int64_t t = 0; t < k; ++t)
      for (int64_t j = 0; j < n; ++j) turned[j * k + t] = *b.at(t, j).data;
    return few_dots<Steps>(m, n, k, a, {turned, 1, k}, c, leading);
  }
  Word* packed_a = reinterpret_cast<Word*>(room);
  Word* packed_b =
      packed_a + (std::min(m, kBlockM) + kRows) / kRows * kRows * std::min((k + group - 1) / group, kBlockK);
  packed_b = reinterpret_cast<Word*>((reinterpret_cast<uintptr_t>(packed_b) + 63) & ~uintptr_t(63));
  alignas(64) Sum edge[kRows * panel];
  for (int64_t n0 = 0; n0 < n; n0 += kBlockN) {
    int64_t columns = std::min(kBlockN, n - n0);
    for (int64_t k0 = 0; k0 < k; k0 += kBlockK * group) {
      int64_t depth = std::min(kBlockK * group, k - k0), words = (depth + group - 1) / group;
      // B in its own rows is read where it lies unless it is gone over often.
      bool direct = Steps::direct && b.column == 1 && m <= 4 * kRows;
      for (int64_t m0 = 0; m0 < m; m0 += kBlockM) {
        int64_t rows = std::min(kBlockM, m - m0);
        Steps::pack_a(a.at(m0, k0), rows, depth, packed_a);
        Panels panels(rows);
        for (int64_t j = 0; j < columns; j += panel) {
          int64_t width = std::min<int64_t>(panel, columns - j);
          Word* to = packed_b + j / panel * words * panel;
          const Word* from = to;
          int64_t step = panel;
          if (direct && width == panel) {
            from = reinterpret_cast<const Word*>(b.at(k0, n0 + j).data);
            step = b.row;
          } else if (m0 == 0) {
            Steps::pack_b_panel(b.at(k0, n0 + j), depth, width, to);
          }
          for (int64_t p = 0, row = m0; p < panels.count; ++p) {
            int64_t count = panels.rows(p);
            auto run = width <= lanes ? pick_tile<Steps, 1>(count) : pick_tile<Steps, kVectors>(count);
            Sum* out = c + row * leading + n0 + j;
            const Word* left = packed_a + p * words * kRows;
            if (width == panel) {
              run(words, left, from, step, out, leading, k0 > 0);
            } else {
              run(words, left, from, step, edge, panel, false);
              for (int64_t i = 0; i < count; ++i)
                for (int64_t q = 0; q < width; ++q)
                  out[i * leading + q] = k0 > 0 ? out[i * leading + q] + edge[i * panel + q] : edge[i * panel + q];
            }
            row += count;
          }
        }
      }
    }
  }
}

// 16-bit floats: accumulated in float32, rounded once.
template <class Steps>
void multiply_rounded(int64_t m, int64_t n, int64_t k, MatrixView<typename Steps::Source> a,
                      MatrixView<typename Steps::Source> b, typename Steps::Source* c, int64_t leading,
                      std::byte* room) {
  float* total = reinterpret_cast<float*>(room);
  multiply<Steps>(m, n, k, a, b, total, n, room + (size_t(m * n) * sizeof(float) + 63) / 64 * 64);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) c[i * leading + j] = typename Steps::Source(total[i * n + j]);
}

}  // namespace
}  // namespace funcnn::cpu
#endif
