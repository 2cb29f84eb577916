// The steps of a program over one tile: interpreted, or done by the machine code that some of them have become.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "backends/cpu/jit/hot.h"
#include "backends/cpu/program_code.h"

namespace funcnn::cpu {

// By slot.
using Pointers = std::byte**;

// Whole rows [row, row + rows), or columns [col, col + cols) of one row.
struct Tile {
  int64_t begin = 0;  // first element
  int64_t row = 0, rows = 1, col = 0, cols = 1;
  int64_t elements() const { return rows * cols; }
};

// Where reductions put partial results: for reduction r at base[r].
struct Partial {
  std::byte* const* base = nullptr;
  bool first = false;  // columns: accumulators are not yet set
  int64_t col = 0;     // columns: of the first accumulator
};

struct TileSteps {
  const Translation& t;
  int64_t tiles_across;  // a row
  Pointers p;
  std::span<std::byte* const> operands;
  const Tile& tile;
  Partial partial;

  // `anew`: what is kept from tile to tile has to be loaded.
  void execute(const Code& code, bool anew, const jit::CompiledCode* compiled) const;

 private:
  void interpret(std::span<const Step> steps) const;
  void verify(const jit::CompiledSegment& segment, const jit::TileView& view, std::span<const Step> steps) const;
  void spoil_registers(std::span<const Step> steps, std::span<const jit::CompiledSegment::Written> written) const;
  int64_t number() const { return tile.row * tiles_across + tile.col / t.tile_cols; }
  int64_t first(Space space) const { return space == Space::element ? tile.begin : space == Space::row ? tile.row : 0; }
};

}  // namespace funcnn::cpu
