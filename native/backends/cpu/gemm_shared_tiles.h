// How a product whose B is packed once for all threads is cut into tiles.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "backends/cpu/gemm.h"
#include "base/thread_pool.h"

namespace funcnn::cpu {

// Where blocks of so many `units` begin, and the end: at most `most` blocks, in rounds of one for each thread. Each
// round is half of what is left while blocks of `least` units leave room for that, and the rest is as even as it comes.
inline std::vector<int64_t> falling_blocks(int64_t units, int64_t least, int64_t most, int64_t threads) {
  auto part = [](int64_t whole, int64_t count) { return (whole + count - 1) / count; };
  std::vector<int64_t> begins{0};
  auto add = [&](int64_t count) { begins.push_back(begins.back() + count); };
  auto left = [&] { return units - begins.back(); };
  for (; most > 2 * threads && left() >= 4 * threads * least; most -= threads)
    for (int64_t i = threads, round = left() / 2; i > 0; round -= part(round, i), --i) add(part(round, i));
  int64_t count = std::clamp<int64_t>(std::min(most, left() / least), 1, left());
  if (count > threads) count -= count % threads;
  for (; count > 0; --count) add(part(left(), count));
  return begins;
}

// The tiles of a product whose B is packed: tasks for all threads, with rows for several tiles of the kernel, since
// each reads all of its columns of B, and columns that are worth packing the rows for. First come blocks of many rows,
// which read B from far away seldom, then ever fewer, so that threads end together whatever their pace.
struct SharedTiles {
  int64_t row_blocks, column_blocks;

  SharedTiles(int64_t m, int64_t n, int64_t k, int64_t panel, const GemmShares& shares, int64_t most_columns)
      : unit_(shares.unit) {
    const auto [unit, least_rows, least_columns, least_work] = shares;
    double work = double(m) * double(n) * double(k);
    int64_t threads = thread_count(), wanted = std::clamp<int64_t>(int64_t(work / least_work), 1, 8 * threads);
    const int64_t least = m >= 8 * threads * least_rows ? 2 * least_rows : least_rows;
    rows_ = falling_blocks(blocks(m, unit), least / unit, wanted, threads);
    row_blocks = int64_t(rows_.size()) - 1;
    m_ = m;
    // Where blocks of rows are too few for all threads, they are cut into columns.
    int64_t cuts = row_blocks < threads || m < 2 * threads * least_rows ? blocks(wanted, row_blocks) : 1;
    cuts = std::min(cuts, (n + least_columns / 2) / least_columns);
    // Where each has few, into some for which it pays to pack the rows, so that little is left to wait for at the end.
    if (row_blocks <= 2 * threads) cuts = std::max(cuts, std::min(4 * threads / row_blocks, n / (4 * least_columns)));
    if (cuts > threads) cuts -= cuts % threads;
    n_ = n;
    panel_ = panel;
    panels_ = blocks(n, panel);
    column_blocks = std::clamp<int64_t>(cuts, std::min(panels_, blocks(n, most_columns)), panels_);
  }
  // Where block i begins; of columns, whole panels.
  int64_t row(int64_t i) const { return std::min(m_, rows_[size_t(i)] * unit_); }
  int64_t column(int64_t i) const { return std::min(n_, panels_ * i / column_blocks * panel_); }
  int64_t most_columns() const { return std::min(n_, blocks(panels_, column_blocks) * panel_); }
  // Blocks do not grow.
  int64_t most_rows() const { return row(1); }

 private:
  static int64_t blocks(int64_t length, int64_t block) { return (length + block - 1) / block; }
  std::vector<int64_t> rows_;
  int64_t unit_, m_, n_, panel_, panels_;
};

}  // namespace funcnn::cpu
