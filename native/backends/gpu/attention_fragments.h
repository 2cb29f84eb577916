// Attention by fragments of matrices that warps multiply (prelude_fragments.cpp).
#pragma once

#include "backends/gpu/attention_text.h"

namespace funcnn::gpu {

// The most features of v that a group takes of results, and of derivatives.
inline constexpr int kForwardColumns = 128, kGradientColumns = 256;

// Whether the machine has fragments of this dtype, and room for rows of this length, if a group takes so many columns.
bool takes_fragments(const Traits& traits, const AttentionProblem& problem, int columns);

// The launch that computes result, most and sums. Operands are q, k, v, mask, sinks, and these.
Stage attention_fragment_stage(Machine& machine, const AttentionProblem& problem, bool sinks);

// Those that compute dq, dk and dv. Operands are q, k, v, mask, most, sums, rows, ct, and these.
std::vector<Stage> attention_gradient_fragment_stages(Machine& machine, const AttentionProblem& problem);

// ---- what both directions share

inline constexpr int kFragmentRows = 64;  // that four warps of a group own

// The sizes of tiles. Rows of a tile are `pitch(width)` elements long.
struct FragmentTiles {
  int depth, values;  // room for features of q and k, and of v
  int walked;         // rows of a tile that a group walks over
  int halves;         // 2: the next tiles are on their way while these are used
  size_t item;

  static int pitch(int width) { return width + 8; }
  int staged() const;        // how many features of owned rows fit into the tiles at once
  size_t bytes() const;      // of all tiles
  std::string text() const;  // types and functions of a kernel: enum of the sizes, fill_tile
};
// `columns`: the most features of v that a group takes.
FragmentTiles fragment_tiles(const Traits& traits, const AttentionProblem& problem, int columns);

// Statements that put rows of an operand into fragments `into`, by way of the tiles.
std::string owned_rows_text(std::string_view into, std::string_view operand, int width, std::string_view count,
                            std::string_view length);

// Statements that have tiles of `width_x` and `width_y` features of x and y in shared memory at tile_X and tile_Y:
// those before a walk over rows `start` to `end` of so many, and those that begin each of its steps. `also` runs among
// them.
struct WalkedTiles {
  std::string_view x, y, count, length_x, length_y, last;
  std::string before(const FragmentTiles& tiles, std::string_view begin) const;
  std::string step(const FragmentTiles& tiles, std::string_view also) const;

 private:
  std::string fill(std::string_view half, std::string_view start) const;
};

// A field wide_NAME that says whether packs of an operand may be loaded, `at` being its number in the launch.
void add_wide(const AttentionProblem& problem, AttentionKernelText& out, Stage& stage, std::string_view name, int at);

}  // namespace funcnn::gpu
