// Items brought together by the matrix they meet: their order, stable, and where each matrix's begin.
#pragma once

#include <string>
#include <vector>

#include "backends/gpu/operand.h"

namespace funcnn::gpu {

struct Grouping {
  int64_t items, matrices;  // number `matrices` stands for none of them
  int64_t rows;             // of an item
  int tile;                 // rows of a tile
  // Statements that set `number` (u32) of item `i` (u32), what they read, and the values they need.
  std::string number;
  std::vector<std::pair<Layout, std::string>> operands;
  std::vector<Place> places;
  std::vector<std::pair<std::string, int64_t>> values;  // i64
  int scratch;                                          // the operand of scratch memory

  // Parts of the scratch memory, all u32: items in order; for each matrix how many there are and where they begin; the
  // number of tiles, and for each its matrix, its first row and where its rows end, rows being those of items in order.
  Place order() const { return {scratch, 0}; }
  Place counts() const { return {scratch, 4 * padded(items)}; }
  Place starts() const { return {scratch, 4 * (padded(items) + padded(matrices + 1))}; }
  Place tiles() const { return {scratch, 4 * (padded(items) + 2 * padded(matrices + 1))}; }
  int64_t most_tiles() const { return (items * rows + tile - 1) / tile + matrices + 1; }
  size_t bytes() const { return size_t(4 * (padded(items) + 2 * padded(matrices + 1) + padded(1 + 3 * most_tiles()))); }

  std::vector<Stage> stages(Machine& machine) const;

 private:
  static int64_t padded(int64_t count) { return (count + 63) / 64 * 64; }
};

}  // namespace funcnn::gpu
