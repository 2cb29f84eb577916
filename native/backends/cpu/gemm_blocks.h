// Block lengths of the tile kernel of gemm.
#pragma once

#include <cstdint>

namespace funcnn::cpu {

// A panel of B (kBlockK x kPanel) stays in the first-level cache, a block of A (kBlockM x kBlockK) in the second.
inline constexpr int64_t kBlockK = 256, kBlockM = 480, kBlockN = 1024;
// Products of so few columns go along K, where B can be turned for that.
inline constexpr int64_t kFewColumns = 16, kDeepestTurned = 1 << 15;
inline constexpr int64_t kMaxRows = 16, kMaxPanel = 64;  // no instruction set has larger tiles

}  // namespace funcnn::cpu
