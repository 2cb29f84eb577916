#include "backends/cpu/dot_problem.h"

#include <algorithm>
#include <climits>
#include <utility>

#include "backends/cpu/gemm_blocks.h"
#include "base/dtype.h"

namespace funcnn::cpu {

using blas::MatrixLayout;

std::optional<MatrixLayout> as_operand(int64_t rows, int64_t columns, MatrixSteps steps) {
  auto [row, column] = steps;
  if (rows == 1) row = columns;
  if (columns == 1) {
    if (row == 1) return MatrixLayout{true, std::max(rows, int64_t(1))};
    if (row >= 1 && row <= INT_MAX) return MatrixLayout{false, row};
  }
  if (rows == 1 && column >= 1 && column <= INT_MAX) {
    return column == 1 ? MatrixLayout{false, columns} : MatrixLayout{true, column};
  }
  if (column == 1 && row >= columns && row <= INT_MAX) return MatrixLayout{false, row};
  if (row == 1 && column >= rows && column <= INT_MAX) return MatrixLayout{true, column};
  return std::nullopt;
}

DotProblem::DotProblem(const Layout& la, const Layout& lb, bool any_strides) {
  size_t lead = la.shape.size() - 2;
  m = la.shape[lead];
  k = la.shape[lead + 1];
  n = lb.shape[lead + 1];
  // What cannot be read in place is made dense first, without its repeated batch axes.
  auto prepare = [&](const Layout& l, StridedCopy& pack, int64_t& packed) {
    MatrixSteps steps{l.strides[lead], l.strides[lead + 1]};
    if (any_strides || as_operand(l.shape[lead], l.shape[lead + 1], steps)) return l.strides;
    Shape shape = l.shape;
    for (size_t i = 0; i < lead; ++i)
      if (l.strides[i] == 0) shape[i] = 1;
    Strides dense = contiguous_strides(shape);
    pack = StridedCopy(shape, l.strides, dense, item_size(l.dtype));
    packed = element_count(shape);
    for (size_t i = 0; i < lead; ++i)
      if (shape[i] == 1) dense[i] = 0;
    return dense;
  };
  Strides strides_a = prepare(la, pack_a, packed_a), strides_b = prepare(lb, pack_b, packed_b);
  a = {strides_a[lead], strides_a[lead + 1]};
  b = {strides_b[lead], strides_b[lead + 1]};
  Shape lengths(la.shape.begin(), la.shape.begin() + ptrdiff_t(lead));
  Strides batch_a(strides_a.begin(), strides_a.begin() + ptrdiff_t(lead));
  Strides batch_b(strides_b.begin(), strides_b.begin() + ptrdiff_t(lead));
  merge_axes(lengths, {&batch_a, &batch_b});
  for (size_t i = 0; i < lengths.size(); ++i) axes.push_back({lengths[i], batch_a[i], batch_b[i]});
  // A batch axis that b does not have is more rows of a.
  while (!axes.empty() && axes.back().b == 0 && (m == 1 || axes.back().a == m * a.row)) {
    MatrixSteps taller = m == 1 ? MatrixSteps{axes.back().a, a.column} : a;
    int64_t rows = m * axes.back().length;
    if (!any_strides && !as_operand(rows, k, taller)) break;
    a = taller;
    m = rows;
    axes.pop_back();
  }
  // A matrix times a column is a row times the transposed matrix, and lies in memory as that.
  if (any_strides && n == 1 && m > 1) {
    exchanged = true;
    std::swap(m, n);
    std::swap(a, b);
    a = {a.column, a.row};
    b = {b.column, b.row};
    for (BatchAxis& axis : axes) std::swap(axis.a, axis.b);
  }
  for (const BatchAxis& axis : axes) batches *= axis.length;
  choose_tiles(item_size(la.dtype));
}

bool DotProblem::near_rows(int64_t item) const {
  return a.column == 1 ? rows_lie_near(a.row * item) : 2 * a.column * item <= kNearRows;
}

// Depends on the shape alone: results must not change with the number of threads.
void DotProblem::choose_tiles(size_t item) {
  double work = double(m) * double(n) * double(k);
  row_block = std::min<int64_t>(m, 480);
  column_block = std::min<int64_t>(n, 1024);
  int64_t wanted = work < 1.5e6 ? 1 : work < 4e6 ? 2 : work < 1e7 ? 4 : work < 3e7 ? 8 : 16;
  if (m <= 4 || n <= 4) wanted = work < 2e5 ? 1 : work < 2e6 ? 4 : work < 8e6 ? 8 : 16;  // bound by reading the matrix
  if (batches > 1) wanted = std::max<int64_t>(1, wanted / batches);
  auto blocks = [](int64_t length, int64_t block) { return (length + block - 1) / block; };
  if (wanted == 1 && work < 6.4e7) {
    row_block = m;
    column_block = n;
  }
  // A few rows go over B row by row: whole rows of it, and parts of K, are read in the order of memory.
  const bool strips = b.column == 1 && by_strips(m, n, k * b.row * int64_t(item), item);
  if (strips) column_block = std::min<int64_t>(n, 8192);
  int64_t least_columns = m == 1 ? 64 : 128, least_rows = n == 1 ? 8 : 32;
  // Parts of sums cost memory traffic, too: little beside that of B.
  const int64_t least_depth = strips ? std::max<int64_t>(128, 32 * m) : 512;
  int64_t parts = strips ? std::clamp<int64_t>(k / least_depth, 1, wanted) : 1;
  // Each part of the long sums of a small result reads operands of its own, once and in the order of memory.
  constexpr int64_t kSmallResult = 64 << 10;
  if (m > 16 && n > 16 && m * n <= kSmallResult && k >= wanted * least_depth && (m + n) * k >= 4 * wanted * m * n)
    parts = wanted;
  while (blocks(m, row_block) * blocks(n, column_block) * parts < wanted) {
    bool rows = row_block >= 2 * least_rows, columns = column_block >= 2 * least_columns;
    if (!rows && !columns) break;
    if (rows && (!columns || row_block >= column_block)) {
      row_block = (row_block + 1) / 2;
    } else {
      column_block = (column_block + 1) / 2;
    }
  }
  // Even blocks of whole register tiles: no sliver at the end.
  auto even = [&](int64_t length, int64_t block, int64_t unit) {
    int64_t count = blocks(length, block);
    return count == 1 ? length : (blocks(length, count) + unit - 1) / unit * unit;
  };
  column_block = even(n, column_block, 32);
  column_blocks = blocks(n, column_block);
  // A thread more or less for the last of a few blocks would be seen: as many as most numbers of threads share evenly.
  constexpr int64_t kShare = 8;
  const int64_t tall = blocks(m, row_block);
  if (column_blocks == 1 && tall > kShare / 2 && tall < 8 * kShare && m >= 2 * kShare * least_rows)
    row_block = blocks(m, blocks(tall, kShare) * kShare);
  row_block = even(m, row_block, n == 1 ? 8 : 12);
  row_blocks = blocks(m, row_block);
  // Too small to share out, but a long sum: in parts, which are added in order.
  depth_blocks = std::clamp<int64_t>(k / least_depth, 1, std::max<int64_t>(1, wanted / (row_blocks * column_blocks)));
  depth_block = depth_blocks == 1 ? k : even(k, blocks(k, depth_blocks), 32);
  depth_blocks = blocks(k, depth_block);
  // Worth it where several tiles below each other would each pack the same columns.
  const double least_work = batches == 1 && item >= 4 ? 1e7 : 3e7;  // where packing is hidden, and tiles are few
  shared = depth_blocks == 1 && m >= 96 && n > 16 && work >= least_work && (b.column != 1 || n * k > (16 << 10));
  constexpr int64_t kFewRows = 8;
  tiled = item >= 4 && m > kFewRows && n > kFewColumns && !strips && work * double(batches) >= 1e6;
}

}  // namespace funcnn::cpu
