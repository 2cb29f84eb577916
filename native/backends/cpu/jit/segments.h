// Steps of a program cut into segments, each one loop whose values stay in registers, and what has to stay interpreted
// between them.
#pragma once

#include <cstdint>
#include <vector>

#include "backends/cpu/jit/loop.h"
#include "backends/cpu/jit/target.h"
#include "backends/cpu/program_code.h"

namespace funcnn::cpu::jit {

// Where a stream of a segment begins, for a tile.
struct Place {
  enum Kind : uint8_t { slot, path, partial, flag };
  Kind kind = slot;
  int number = 0;    // of the slot, the path or the reduction
  bool row = false;  // path: an element for each row
  bool written = false;
  bool operator==(const Place&) const = default;
};

struct Segment {
  size_t first = 0, count = 0;  // steps that it stands for
  bool of_rows = false;         // its elements are the rows of the tile
  Loop loop;
  std::vector<Place> places;  // of the streams
  std::vector<int> results;   // the streams that anything else reads
  bool fills_tile = false;    // values of elements are kept, or come, in registers of the tile
};

std::vector<Segment> find_segments(const Routine& routine, const Code& code, const std::vector<AccessPath>& paths,
                                   const Target& target);

}  // namespace funcnn::cpu::jit
