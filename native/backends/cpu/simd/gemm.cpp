// Matrix products over the tile kernel, in blocks that stay in cache.
#include "backends/cpu/gemm.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "backends/cpu/gemm_blocks.h"
#include "backends/cpu/simd/gemm_tile.h"

#define FUNCNN_JOIN_(a, b) a##b
#define FUNCNN_JOIN(a, b) FUNCNN_JOIN_(a, b)

namespace funcnn::cpu {
extern const GemmTable FUNCNN_JOIN(gemm_table_, FUNCNN_ISA);

#if defined(FUNCNN_VECTORS)
namespace {

// rows x columns of A B where the rows of A and the columns of B are dense: vectors run along K.
template <class T, class S, int rows, int columns>
void dots(int64_t k, const S* __restrict a, int64_t row, const S* __restrict b, int64_t column, T* c, int64_t leading) {
  using V = typename Simd<T>::Vector;
  constexpr int lanes = Simd<T>::lanes;
  V sum[rows][columns];
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) sum[i][j] = V{};
  int64_t t = 0;
  for (; t + lanes <= k; t += lanes) {
    V y[columns];
    for (int j = 0; j < columns; ++j) y[j] = load_wide<T>(b + j * column + t);
    for (int i = 0; i < rows; ++i) {
      V x = load_wide<T>(a + i * row + t);
      for (int j = 0; j < columns; ++j) sum[i][j] = simd::fma(x, y[j], sum[i][j]);
    }
  }
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) {
      T total = 0;
      for (int q = 0; q < lanes; ++q) total += sum[i][j][q];
      for (int64_t u = t; u < k; ++u) total = simd::fma(T(widen(a[i * row + u])), T(widen(b[j * column + u])), total);
      c[i * leading + j] = total;
    }
}

template <class T, class S>
using Dots = void (*)(int64_t, const S*, int64_t, const S*, int64_t, T*, int64_t);

template <class T, class S, int... at>
Dots<T, S> pick_dots(int64_t rows, int64_t columns, std::integer_sequence<int, at...>) {
  static constexpr Dots<T, S> table[] = {dots<T, S, at / 4 + 1, at % 4 + 1>...};
  return table[(rows - 1) * 4 + columns - 1];
}

template <class T, class S>
void few_dots(int64_t m, int64_t n, int64_t k, MatrixView<S> a, MatrixView<S> b, T* c, int64_t leading) {
  auto block = [&](int64_t i, int64_t j) {
    int64_t rows = std::min<int64_t>(4, m - i), columns = std::min<int64_t>(4, n - j);
    pick_dots<T, S>(rows, columns, std::make_integer_sequence<int, 16>())(
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
template <class T, class S>
void accumulate(int64_t m, int64_t n, int64_t k, MatrixView<S> a, MatrixView<S> b, T* c, int64_t leading,
                std::byte* room) {
  constexpr int panel = Simd<T>::panel;
  if ((a.column == 1 || k == 1) && (b.row == 1 || k == 1) && (m <= 4 || n <= kFewColumns))
    return few_dots(m, n, k, a, b, c, leading);
  if (a.column == 1 && m >= 4 && n <= kFewColumns && k <= kDeepestTurned) {
    S* turned = reinterpret_cast<S*>(room);
    for (int64_t t = 0; t < k; ++t)
      for (int64_t j = 0; j < n; ++j) turned[j * k + t] = *b.at(t, j).data;
    return few_dots<T, S>(m, n, k, a, {turned, 1, k}, c, leading);
  }
  T* packed_a = reinterpret_cast<T*>(room);
  T* packed_b = packed_a + (std::min(m, kBlockM) + kRows) / kRows * kRows * std::min(k, kBlockK);
  packed_b = reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(packed_b) + 63) & ~uintptr_t(63));
  alignas(64) T edge[kRows * panel];
  for (int64_t n0 = 0; n0 < n; n0 += kBlockN) {
    int64_t columns = std::min(kBlockN, n - n0);
    for (int64_t k0 = 0; k0 < k; k0 += kBlockK) {
      int64_t depth = std::min(kBlockK, k - k0);
      // B in its own rows is read where it lies unless it is gone over often.
      bool direct = std::is_same_v<T, S> && b.column == 1 && m <= 4 * kRows;
      auto pack_b = [&](int64_t j) {
        pack_b_panel<T>(b.at(k0, n0 + j), depth, std::min<int64_t>(panel, columns - j),
                        packed_b + j / panel * depth * panel);
      };
      for (int64_t m0 = 0; m0 < m; m0 += kBlockM) {
        int64_t rows = std::min(kBlockM, m - m0);
        pack_a<T>(a.at(m0, k0), rows, depth, packed_a);
        Panels panels(rows);
        for (int64_t j = 0; j < columns; j += panel) {
          int64_t width = std::min<int64_t>(panel, columns - j);
          const T* from = packed_b + j / panel * depth * panel;
          int64_t step = panel;
          if (direct && width == panel) {
            from = reinterpret_cast<const T*>(b.at(k0, n0 + j).data);
            step = b.row;
          } else if (m0 == 0) {
            pack_b(j);
          }
          for (int64_t p = 0, row = m0; p < panels.count; ++p) {
            int64_t count = panels.rows(p);
            constexpr auto sizes = std::make_integer_sequence<int, kRows>();
            Tile<T> run =
                width <= Simd<T>::lanes ? pick<T, 1>(int(count), sizes) : pick<T, kVectors>(int(count), sizes);
            T* out = c + row * leading + n0 + j;
            const T* left = packed_a + p * depth * kRows;
            if (width == panel) {
              run(depth, left, from, step, out, leading, k0 > 0);
            } else {
              run(depth, left, from, step, edge, panel, false);
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

template <class T>
void same(int64_t m, int64_t n, int64_t k, MatrixView<T> a, MatrixView<T> b, T* c, int64_t leading, std::byte* room) {
  accumulate<T, T>(m, n, k, a, b, c, leading, room);
}

// 16-bit floats: accumulated in float32, rounded once.
template <class H>
void half(int64_t m, int64_t n, int64_t k, MatrixView<H> a, MatrixView<H> b, H* c, int64_t leading, std::byte* room) {
  float* total = reinterpret_cast<float*>(room);
  accumulate<float, H>(m, n, k, a, b, total, n, room + (size_t(m * n) * sizeof(float) + 63) / 64 * 64);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) c[i * leading + j] = H(total[i * n + j]);
}

}  // namespace

const GemmTable FUNCNN_JOIN(gemm_table_, FUNCNN_ISA) = {same<float>, same<double>, half<float16_t>, half<bfloat16_t>};
#else
const GemmTable FUNCNN_JOIN(gemm_table_, FUNCNN_ISA) = {};
#endif

}  // namespace funcnn::cpu
