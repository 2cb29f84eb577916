// The text of products of tiles: operands go through shared memory, a part of the depth at a time, the next part being
// on its way while one is multiplied; the products of a group end in shared memory, from where they are handed over.
#pragma once

#include <string>

#include "backends/gpu/operand.h"

namespace funcnn::gpu {

// What a group computes, and how it is divided.
struct TileShape {
  int m, n, k;                   // of a group; k: of the depth at a time
  int warps_m = 0, warps_n = 0;  // of fragments (prelude_fragments.cpp); 0: elements a thread
  int each_m = 0, each_n = 0;    // of a thread
  bool fragments() const { return warps_m > 0; }
  uint32_t threads() const { return uint32_t(fragments() ? 32 * warps_m * warps_n : (m / each_m) * (n / each_n)); }
};

// One operand of a product. Its statements find `depth`, where the part of the depth begins, and `end`, where the depth
// does. `fetch` puts the thread's share of a part into registers, `put` from there into shared memory at `tile`, a
// pointer to elements: [outer][depth] with rows of k + padding elements, or [depth][outer].
struct TileOperand {
  std::string functions, registers, fetch, put;
  bool outer_first = false;  // the tile is [outer][depth]
};

class TileText {
 public:
  // `stored`: what tiles hold; sums are of its register type.
  TileText(const Traits& traits, Dtype stored, TileShape shape);

  const TileShape& shape() const { return shape_; }
  int pack() const { return int(16 / item_size(stored_)); }  // elements of 16 bytes
  bool outer_first(bool along_depth) const { return shape_.fragments() && along_depth; }
  // Elements between rows of an operand's tile.
  int pitch(bool is_outer_first, int outer) const { return is_outer_first ? shape_.k + 8 : outer + pack(); }
  // Elements of an operand in memory, `outer` being rows of the left operand or columns of the right.
  struct Memory {
    std::string_view pointer;  // an expression, of the operand's first element
    Dtype dtype;
    bool along_depth;  // which way neighbours lie
    // Expressions: the place of an element in terms of `outer` and `d` (u32, counted from the beginning of the
    // matrix; `local`: from that of the tile), a type that holds it, the step between neighbours, how many there are of
    // `outer`, and whether packs may be loaded.
    std::string_view place, index, step, count, wide;
    std::string_view origin;  // of the tile: row0 or column0
  };
  TileOperand operand(std::string_view name, const Memory& memory) const;

  // Declares and uses what the text needs. Statements of `before` run first and set row0, column0, begin and end (u32);
  // those of `store` get `row`, `column` (u32, counted from the beginning of the matrix) and `value` for each element;
  // `inside` is an expression of row and column.
  void write(KernelText& text, const TileOperand& a, const TileOperand& b, std::string_view before,
             std::string_view inside, std::string_view store) const;

 private:
  int tile_elements(const TileOperand& o, int outer) const {
    return (o.outer_first ? outer : shape_.k) * pitch(o.outer_first, outer);
  }
  int stage_pitch() const { return shape_.n + 8; }
  std::string multiply(const TileOperand& a, const TileOperand& b) const;
  std::string hand_over() const;

  const Traits& traits_;
  Dtype stored_;
  TileShape shape_;
};

// Whether warps of the machine multiply fragments of a dtype.
bool has_fragments(const Traits& traits, Dtype dtype);
// The shapes for elements of a dtype, the largest first.
std::vector<TileShape> tile_shapes(const Traits& traits, Dtype dtype);
// The one that takes the least time for so many products of m rows and n columns.
TileShape choose_tiles(const Traits& traits, Dtype dtype, int64_t m, int64_t n, int64_t products);
// Into how many parts the depth is split where there are so few groups.
int64_t choose_parts(const Traits& traits, int64_t groups, int64_t k, int64_t step);

// Statements that set row0 and column0 (u32) of tile number `tile` (u32) of p.tiles_m x p.tiles_n: bands of eight rows
// of tiles, so that what runs side by side shares operands.
std::string tile_place(const TileShape& shape);

}  // namespace funcnn::gpu
