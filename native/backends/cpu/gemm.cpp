#include "backends/cpu/gemm.h"

#include <algorithm>

#include "backends/cpu/gemm_blocks.h"
#include "backends/cpu/instruction_set.h"

namespace funcnn::cpu {

FUNCNN_DECLARE_FOR_SETS(GemmTable, gemm_table);
#if defined(FUNCNN_X86) && defined(__GNUC__)
extern const GemmOf<bfloat16_t> gemm_bf16_pairs;
#endif

size_t gemm_room(int64_t m, int64_t n, int64_t k, size_t item) {
  size_t wide = std::max<size_t>(item, 4);
  int64_t depth = std::min(k, kBlockK);
  int64_t rows = std::min(m, kBlockM) + 2 * kMaxRows, columns = std::min(n, kBlockN) + kMaxPanel;
  size_t total = item < 4 ? (size_t(m * n) * 4 + 63) / 64 * 64 : 0;
  size_t turned = n <= kFewColumns && k <= kDeepestTurned ? size_t(n * k) * item : 0;
  size_t strips =
      m <= kMostStripRows && n >= kWideStrip ? size_t(m * (std::min(k, strip_depth(m)) + strip_columns(m))) * wide : 0;
  return total + std::max({turned, strips, size_t((rows + columns) * depth) * wide}) + 128;
}

const GemmTable* gemm_table() {
  const GemmTable* table = &FUNCNN_OF_ACTIVE_SET(gemm_table);
#if defined(FUNCNN_X86) && defined(__GNUC__)
  if (table == &gemm_table_avx512 && __builtin_cpu_supports("avx512bf16")) {
    static const GemmTable with_pairs = [] {
      GemmTable best = gemm_table_avx512;
      best.bf16 = gemm_bf16_pairs;
      return best;
    }();
    table = &with_pairs;
  }
#endif
  return table->f32.rounded.multiply ? table : nullptr;
}

}  // namespace funcnn::cpu
