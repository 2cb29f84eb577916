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
  int half() const { return walked * (pitch(depth) + pitch(values)); }  // elements of the tiles of one step
  int staged() const;                                                   // features of owned rows that fit into them
  size_t bytes() const;                                                 // of all tiles
  std::string text() const;  // types and functions of a kernel: enum of the sizes, fill_tile
};
// `columns`: the most features of v that a group takes.
FragmentTiles fragment_tiles(const Traits& traits, const AttentionProblem& problem, int columns);

// The rows that a group owns: `width` features of an operand as fragments `into`. So many rows of such a length are
// there.
struct OwnedRows {
  std::string_view into, operand;
  int width;
  std::string_view count, length;
};
// Statements that declare the fragments and load them, by way of the tiles: of the half that no walk has begun to fill.
std::string owned_rows_text(const FragmentTiles& tiles, std::initializer_list<OwnedRows> all);

// How the products in `s`, of owned rows from `first` and of walked ones from `start`, become scores. Which of `owned`
// and `walked`, the numbers of rows, is of the query and which of the key.
class FragmentScores {
 public:
  FragmentScores(const AttentionProblem& problem, std::string_view query, std::string_view key);
  // Declares what the exponents below need. In s, what is not seen is -INFINITY.
  std::string unit;
  // Declares for each step whether all of it is seen; empty where a mask may say no anywhere.
  std::string whole;
  // Statements that make scores of `s`.
  std::string settle;
  // The score that an element of s stands for.
  std::string of(std::string_view x) const;
  // What to subtract where x is the largest element of s, and the exponent of 2 of an element then.
  std::string shift(std::string_view x) const;
  std::string exponent(std::string_view x, std::string_view shift) const;
  // Declarators of `shift` and `log2_total` from `total` and the largest score, and with them the exponent of 2 of the
  // probability.
  std::string statistics(std::string_view most) const;
  std::string probability(std::string_view x, std::string_view shift, std::string_view log) const;
  // Statements for a step of which something may not be seen.
  std::string if_unseen(std::string_view statements) const;

 private:
  bool direct_;  // s holds the products as they are
};

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
