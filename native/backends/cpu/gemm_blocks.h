// Block lengths of the tile kernel of gemm.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace funcnn::cpu {

// Sums are taken over so many words of K at a time: a panel of A and one of B, which follow each other through the
// first-level cache. A block of A (kBlockM x kBlockK) stays in the second.
inline constexpr int64_t kBlockK = 512, kBlockM = 240, kBlockN = 1024;
// Lines whose distance is about a multiple of a page fall on few places of the first-level cache.
inline bool lines_collide(int64_t bytes) { return (bytes + 64) % 2048 < 192; }
// Rows of A that are so many bytes apart lie together about as well as packed ones: no place of the cache has more than
// half a tile's lines.
inline constexpr int64_t kNearRows = 2048 + 64;
inline bool rows_lie_near(int64_t bytes) {
  constexpr int64_t kMiddling = 4096;
  return bytes <= kNearRows || (bytes <= kMiddling && !lines_collide(bytes));
}
// Columns that are so few are dots along K where they are dense, and are turned to be dense if K is not longer.
inline constexpr int64_t kFewColumns = 8, kDeepestTurned = 1 << 15;
// Few rows by many columns of a B that is dense in its rows go across K, row by row of B, which spans so many bytes: a
// tile of more rows is faster where B is in cache. Of 16-bit floats fewer rows, since they may be multiplied in pairs.
inline constexpr int64_t kMostStripRows = 48, kWideStrip = 128;
inline bool by_strips(int64_t m, int64_t n, int64_t span, size_t item) {
  constexpr int64_t kFewRows = 8, kCached = 2 << 20;
  return n >= kWideStrip && (m <= kFewRows || (item >= 4 && m <= kMostStripRows && span > kCached));
}
// Columns of a strip, whose sums stay in the first-level cache, and words of K at a time, with A in the second.
inline int64_t strip_columns(int64_t m) { return (m > 16 ? 8192 : 4096) / int64_t(std::bit_ceil(uint64_t(m))); }
inline int64_t strip_depth(int64_t m) { return (int64_t(1) << 17) / int64_t(std::bit_ceil(uint64_t(m))); }
inline constexpr int64_t kMostDotStep = 32;              // elements along K of which dots take a vector
inline constexpr int64_t kMaxRows = 16, kMaxPanel = 64;  // no instruction set has larger tiles

}  // namespace funcnn::cpu
