// How a product is cut into tiles for a number of threads, by a model of what a tile costs. How an element is summed
// up does not depend on it.
#pragma once

#include <algorithm>
#include <cstdint>

namespace funcnn::cpu {

// Rows and columns of a result in blocks of whole units, as even as they come.
struct Grid {
  int64_t m, n;
  int64_t row_unit, column_unit;
  int64_t row_blocks, column_blocks;
  bool by_tiles = false;  // an epilogue runs over each tile, row by row, rather than over whole rows

  // Where block i begins.
  int64_t row(int64_t i) const { return std::min(m, units(m, row_unit) * i / row_blocks * row_unit); }
  int64_t column(int64_t i) const { return std::min(n, units(n, column_unit) * i / column_blocks * column_unit); }
  int64_t most_rows() const { return most(m, row_unit, row_blocks); }
  int64_t most_columns() const { return most(n, column_unit, column_blocks); }

  static int64_t units(int64_t length, int64_t unit) { return (length + unit - 1) / unit; }

 private:
  static int64_t most(int64_t length, int64_t unit, int64_t blocks) {
    return std::min(length, units(units(length, unit), blocks) * unit);
  }
};

// What tiles cost beside their multiply-adds.
struct GridCosts {
  int64_t copies;         // of the product: of a batch, and parts of its sum
  double left, right;     // to bring an element of A or B to where the tile kernel reads it, in multiply-adds
  bool epilogue = false;  // elements of the result are gone over once more
};

// The grid in which so many threads are done first.
Grid choose_grid(int64_t m, int64_t n, int64_t k, int64_t panel, const GridCosts& costs, int64_t threads);

}  // namespace funcnn::cpu
