// Products of bfloat16 by the instruction that multiplies and adds pairs of them (AVX512_BF16).
#include "backends/cpu/gemm.h"

#include <cstring>

#include "backends/cpu/simd/gemm_blocked.h"

#if defined(FUNCNN_VECTORS) && defined(__AVX512F__)
#define FUNCNN_BF16 __attribute__((target("avx512bf16")))

namespace funcnn::cpu {
extern const GemmOf<bfloat16_t> gemm_bf16_pairs;

namespace {

struct Pairs {
  using Source = bfloat16_t;
  using Word = uint32_t;
  using Sum = float;
  static constexpr int group = 2;
  static constexpr int dot_step = 32;
  static constexpr bool direct_b = false;
  using V = Simd<float>::Vector;

  FUNCNN_BF16 static V add_products(V sum, V a, V b) {
    return V(_mm512_dpbf16_ps(__m512(sum), (__m512bh)(a), (__m512bh)(b)));
  }
  FUNCNN_BF16 static V multiply_add(V sum, const uint32_t* a, V b) {
    uint32_t word;
    std::memcpy(&word, a, sizeof(word));
    return add_products(sum, V(_mm512_castsi512_ps(_mm512_set1_epi32(int(word)))), b);
  }
  static V load(const bfloat16_t* at) { return V(_mm512_loadu_ps(at)); }

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

  // Pairs stand as they are in rows of A that begin at even places.
  static std::optional<TileRows<uint32_t>> in_place(MatrixView<bfloat16_t> a, int64_t k) {
    if (a.column != 1 || a.row % 2 || k % 2) return std::nullopt;
    return TileRows<uint32_t>{reinterpret_cast<const uint32_t*>(a.data), a.row / 2, 1};
  }

  template <int vectors, int rows>
  FUNCNN_BF16 static void tile(int64_t k, TileRows<uint32_t> a, const uint32_t* b, int64_t step, float* c,
                               int64_t leading, bool add, int last, int loaded, Soon& soon) {
    run_tile<Pairs, vectors, rows>(k, a, b, step, c, leading, add, last, loaded, soon);
  }

  template <int rows, int columns>
  FUNCNN_BF16 static void dots(int64_t k, const bfloat16_t* a, int64_t row, DotColumns<bfloat16_t> b, float* c,
                               int64_t leading) {
    run_dots<Pairs, rows, columns, dot_step>(k, a, row, b, c, leading);
  }
};

}  // namespace

const GemmOf<bfloat16_t> gemm_bf16_pairs = gemm_of<Pairs>();

}  // namespace funcnn::cpu
#endif
