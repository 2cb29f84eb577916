// Products of bfloat16 by the instruction that multiplies and adds pairs of them (AVX512_BF16).
#include "backends/cpu/gemm.h"
#include "backends/cpu/simd/gemm_blocked.h"

#if defined(FUNCNN_VECTORS) && defined(__AVX512F__)
#define FUNCNN_BF16 __attribute__((target("avx512bf16")))

namespace funcnn::cpu {
extern const HalfGemm<bfloat16_t> gemm_bf16_pairs;

namespace {

struct Pairs {
  using Source = bfloat16_t;
  using Word = uint32_t;
  using Sum = float;
  static constexpr int group = 2;
  static constexpr bool direct = false;
  using V = Simd<float>::Vector;

  FUNCNN_BF16 static V multiply_add(V sum, V a, V b) {
    return V(_mm512_dpbf16_ps(__m512(sum), (__m512bh)(a), (__m512bh)(b)));
  }

  static uint32_t pair(bfloat16_t low, bfloat16_t high) { return uint32_t(low.bits) | uint32_t(high.bits) << 16; }

  // Line i at t goes to out[t * step + i]; a last element without a partner gets 0.
  static void pack_lines(MatrixView<bfloat16_t> from, int64_t lines, int64_t k, uint32_t* out, int64_t step) {
    int64_t whole = k / 2;
    if (from.column == 1) {
      interleave<uint32_t>(from.data, from.row, lines, whole, out, step);
    } else {
      for (int64_t t = 0; t < whole; ++t) {
        const bfloat16_t *low = from.data + 2 * t * from.column, *high = low + from.column;
        if (from.row == 1)
          for (int64_t i = 0; i < lines; ++i) out[t * step + i] = pair(low[i], high[i]);
        else
          for (int64_t i = 0; i < lines; ++i) out[t * step + i] = pair(low[i * from.row], high[i * from.row]);
      }
    }
    if (k % 2)
      for (int64_t i = 0; i < lines; ++i) out[whole * step + i] = from.at(i, k - 1).data->bits;
  }

  static void pack_a(MatrixView<bfloat16_t> a, int64_t rows, int64_t k, uint32_t* out) {
    Panels panels(rows);
    for (int64_t p = 0, row = 0; p < panels.count; row += panels.rows(p), ++p, out += (k + 1) / 2 * kRows)
      pack_lines(a.at(row, 0), panels.rows(p), k, out, kRows);
  }

  static void pack_b_panel(MatrixView<bfloat16_t> b, int64_t k, int64_t columns, uint32_t* out) {
    constexpr int panel = Simd<float>::panel;
    if (columns < panel) std::fill_n(out, (k + 1) / 2 * panel, 0);
    pack_lines({b.data, b.column, b.row}, columns, k, out, panel);
  }

  template <int vectors, int rows>
  FUNCNN_BF16 static void tile(int64_t k, const uint32_t* __restrict a, const uint32_t* __restrict b, int64_t step,
                               float* __restrict c, int64_t leading, bool add) {
    using L = Simd<float>::Loose;
    V sum[rows][vectors];
    FUNCNN_UNROLL
    for (int i = 0; i < rows; ++i) {
      FUNCNN_UNROLL
      for (int j = 0; j < vectors; ++j) sum[i][j] = V{};
    }
    for (int64_t p = 0; p < k; ++p) {
      V x[vectors];
      FUNCNN_UNROLL
      for (int j = 0; j < vectors; ++j) x[j] = *reinterpret_cast<const L*>(b + j * 16);
      FUNCNN_UNROLL
      for (int i = 0; i < rows; ++i) {
        V left = V(_mm512_castsi512_ps(_mm512_set1_epi32(int(a[i]))));
        FUNCNN_UNROLL
        for (int j = 0; j < vectors; ++j) sum[i][j] = multiply_add(sum[i][j], left, x[j]);
      }
      a += kRows;
      b += step;
    }
    FUNCNN_UNROLL
    for (int i = 0; i < rows; ++i) {
      FUNCNN_UNROLL
      for (int j = 0; j < vectors; ++j) {
        L* out = reinterpret_cast<L*>(c + i * leading + j * 16);
        *out = add ? *out + sum[i][j] : sum[i][j];
      }
    }
  }

  template <int rows, int columns>
  FUNCNN_BF16 static void dots(int64_t k, const bfloat16_t* __restrict a, int64_t row, const bfloat16_t* __restrict b,
                               int64_t column, float* c, int64_t leading) {
    auto load = [](const bfloat16_t* at) { return V(_mm512_loadu_ps(at)); };
    V sum[rows][columns];
    FUNCNN_UNROLL
    for (int i = 0; i < rows; ++i) {
      FUNCNN_UNROLL
      for (int j = 0; j < columns; ++j) sum[i][j] = V{};
    }
    int64_t t = 0;
    for (; t + 32 <= k; t += 32) {
      V y[columns];
      FUNCNN_UNROLL
      for (int j = 0; j < columns; ++j) y[j] = load(b + j * column + t);
      FUNCNN_UNROLL
      for (int i = 0; i < rows; ++i) {
        V x = load(a + i * row + t);
        FUNCNN_UNROLL
        for (int j = 0; j < columns; ++j) sum[i][j] = multiply_add(sum[i][j], x, y[j]);
      }
    }
    FUNCNN_UNROLL
    for (int i = 0; i < rows; ++i) {
      FUNCNN_UNROLL
      for (int j = 0; j < columns; ++j) {
        float total = 0;
        for (int q = 0; q < 16; ++q) total += sum[i][j][q];
        for (int64_t u = t; u < k; ++u) total = simd::fma(widen(a[i * row + u]), widen(b[j * column + u]), total);
        c[i * leading + j] = total;
      }
    }
  }
};

}  // namespace

const HalfGemm<bfloat16_t> gemm_bf16_pairs = {multiply_rounded<Pairs>, multiply<Pairs>};

}  // namespace funcnn::cpu
#endif
