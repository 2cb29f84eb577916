#include "backends/cpu/gemm.h"

#include <algorithm>

#include "backends/cpu/amx.h"
#include "backends/cpu/gemm_blocks.h"
#include "backends/cpu/instruction_set.h"

namespace funcnn::cpu {

FUNCNN_DECLARE_FOR_SETS(GemmTable, gemm_table);
FUNCNN_DECLARE_FOR_SETS(GemmOf<bfloat16_t>, gemm_amx_emulated);
#if defined(FUNCNN_X86) && defined(__GNUC__)
extern const GemmOf<bfloat16_t> gemm_bf16_pairs, gemm_amx;
#endif

size_t gemm_room(int64_t m, int64_t n, int64_t k, size_t item) {
  size_t wide = std::max<size_t>(item, 4);
  int64_t depth = std::min(k, kBlockK);
  int64_t rows = std::min(m, kBlockM) + 2 * kMaxRows, columns = std::min(n, kBlockN) + kMaxPanel;
  size_t total = item < 4 ? (size_t(m * n) * 4 + 63) / 64 * 64 : 0;
  size_t turned = n <= kFewColumns && k <= kDeepestTurned ? size_t(n * (k + kMostDotStep)) * item : 0;
  size_t strips =
      m <= kMostStripRows && n >= kWideStrip ? size_t(m * (std::min(k, strip_depth(m)) + strip_columns(m))) * wide : 0;
  const size_t blocks = total + std::max({turned, strips, size_t((rows + columns) * depth) * wide});
  return std::max(blocks, item < 4 ? amx_room(m, n, k) : 0) + 128;
}

template <class T>
const GemmOf<T>* products_of() {
  const GemmTable& table = FUNCNN_OF_ACTIVE_SET(gemm_table);
  if (!table.f32.rounded.multiply) return nullptr;
  if constexpr (std::is_same_v<T, bfloat16_t>) {
    if (amx_use() == AmxUse::emulated) return &FUNCNN_OF_ACTIVE_SET(gemm_amx_emulated);
#if defined(FUNCNN_X86) && defined(__GNUC__)
    if (&table == &gemm_table_avx512) {
#if defined(FUNCNN_AMX)
      if (amx_use() == AmxUse::on) return &gemm_amx;
#endif
      if (__builtin_cpu_supports("avx512bf16")) return &gemm_bf16_pairs;
    }
#endif
  }
  return &table.of<T>();
}
template const GemmOf<float>* products_of();
template const GemmOf<double>* products_of();
template const GemmOf<float16_t>* products_of();
template const GemmOf<bfloat16_t>* products_of();

}  // namespace funcnn::cpu
