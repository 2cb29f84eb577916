// Block lengths of the tile kernel of gemm.
#pragma once

#include <cstdint>

namespace funcnn::cpu {

// Sums are taken over so many words of K at a time: a panel of A and one of B, which follow each other through the
// first-level cache. A block of A (kBlockM x kBlockK) stays in the second.
inline constexpr int64_t kBlockK = 512, kBlockM = 240, kBlockN = 1024;
// Columns that are so few are dots along K where they are dense, and are turned to be dense if K is not longer.
inline constexpr int64_t kFewColumns = 8, kDeepestTurned = 1 << 15;
// So few rows by so many columns that are dense in rows go across K, row by row of B.
inline constexpr int64_t kStripRows = 8, kWideStrip = 128;
inline constexpr int64_t kMaxRows = 16, kMaxPanel = 64;  // no instruction set has larger tiles

}  // namespace funcnn::cpu
