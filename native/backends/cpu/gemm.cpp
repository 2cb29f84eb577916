#include "backends/cpu/gemm.h"

#include <algorithm>

#include "backends/cpu/gemm_blocks.h"

namespace funcnn::cpu {

extern const GemmTable gemm_table_baseline;
#if defined(FUNCNN_X86)
extern const GemmTable gemm_table_avx2, gemm_table_avx512;
#endif

size_t gemm_room(int64_t m, int64_t n, int64_t k, size_t item) {
  size_t wide = std::max<size_t>(item, 4);
  int64_t depth = std::min(k, kBlockK);
  int64_t rows = std::min(m, kBlockM) + 2 * kMaxRows, columns = std::min(n, kBlockN) + kMaxPanel;
  size_t total = item < 4 ? (size_t(m * n) * 4 + 63) / 64 * 64 : 0;
  return total + size_t((rows * 2 + columns) * depth) * wide + 128;
}

const GemmTable* gemm_table() {
  static const GemmTable* table = [] {
    const GemmTable* best = &gemm_table_baseline;
#if defined(FUNCNN_X86) && defined(__GNUC__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) best = &gemm_table_avx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq"))
      best = &gemm_table_avx512;
#endif
    return best->f32 ? best : nullptr;
  }();
  return table;
}

}  // namespace funcnn::cpu
