// Matrix products with one multiply-add for each element.
#include "backends/cpu/gemm.h"

#include "backends/cpu/simd/gemm_blocked.h"

#define FUNCNN_JOIN_(a, b) a##b
#define FUNCNN_JOIN(a, b) FUNCNN_JOIN_(a, b)

namespace funcnn::cpu {
extern const GemmTable FUNCNN_JOIN(gemm_table_, FUNCNN_ISA);

#if defined(FUNCNN_VECTORS)
namespace {

// Elements of S, multiplied and accumulated as T.
template <class T, class S>
struct Plain : TileKernel<T> {
  using Source = S;
  using Word = T;
  using Sum = T;
  static constexpr int group = 1;
  static constexpr bool direct = std::is_same_v<T, S>;

  static void pack_a(MatrixView<S> a, int64_t rows, int64_t k, T* out) { cpu::pack_a(a, rows, k, out); }
  static void pack_b_panel(MatrixView<S> b, int64_t k, int64_t columns, T* out) {
    cpu::pack_b_panel(b, k, columns, out);
  }

  template <int rows, int columns>
  static void dots(int64_t k, const S* __restrict a, int64_t row, const S* __restrict b, int64_t column, T* c,
                   int64_t leading) {
    using V = typename Simd<T>::Vector;
    constexpr int lanes = Simd<T>::lanes;
    V sum[rows][columns];
    FUNCNN_UNROLL
    for (int i = 0; i < rows; ++i) {
      FUNCNN_UNROLL
      for (int j = 0; j < columns; ++j) sum[i][j] = V{};
    }
    int64_t t = 0;
    for (; t + lanes <= k; t += lanes) {
      V y[columns];
      FUNCNN_UNROLL
      for (int j = 0; j < columns; ++j) y[j] = load_wide<T>(b + j * column + t);
      FUNCNN_UNROLL
      for (int i = 0; i < rows; ++i) {
        V x = load_wide<T>(a + i * row + t);
        FUNCNN_UNROLL
        for (int j = 0; j < columns; ++j) sum[i][j] = simd::fma(x, y[j], sum[i][j]);
      }
    }
    FUNCNN_UNROLL
    for (int i = 0; i < rows; ++i) {
      FUNCNN_UNROLL
      for (int j = 0; j < columns; ++j) {
        T total = 0;
        for (int q = 0; q < lanes; ++q) total += sum[i][j][q];
        for (int64_t u = t; u < k; ++u) total = simd::fma(T(widen(a[i * row + u])), T(widen(b[j * column + u])), total);
        c[i * leading + j] = total;
      }
    }
  }
};

}  // namespace

const GemmTable FUNCNN_JOIN(gemm_table_, FUNCNN_ISA) = {
    multiply<Plain<float, float>>,
    multiply<Plain<double, double>>,
    {multiply_rounded<Plain<float, float16_t>>, multiply<Plain<float, float16_t>>},
    {multiply_rounded<Plain<float, bfloat16_t>>, multiply<Plain<float, bfloat16_t>>},
};
#else
const GemmTable FUNCNN_JOIN(gemm_table_, FUNCNN_ISA) = {};
#endif

}  // namespace funcnn::cpu
