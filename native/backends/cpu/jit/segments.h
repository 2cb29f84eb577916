// Steps of a program cut into segments, each one loop whose values stay in registers, and what has to stay interpreted
// between them.
#pragma once

#include <cstdint>
#include <vector>

#include "backends/cpu/jit/loop.h"
#include "backends/cpu/program_code.h"

namespace funcnn::cpu::jit {

// Where a stream of a segment begins, for a tile.
struct Place {
  enum Kind : uint8_t { slot, path, partial };
  Kind kind = slot;
  int number = 0;  // of the slot, the path or the reduction
  bool written = false;
  bool operator==(const Place&) const = default;
};

struct Segment {
  size_t first = 0, count = 0;  // steps that it stands for
  Space space = Space::element;
  Loop loop;
  std::vector<Place> places;  // of the streams
  // Slots by whose values rows are divided through their reciprocals: all have to be neither large nor small.
  std::vector<int> divisors;
};

// `scales`: the machine has an instruction for Do::scale. `accept` says whether there is code for a loop; `most_folds`:
// so many reductions at most in one.
std::vector<Segment> find_segments(const Routine& routine, const Code& code, const std::vector<AccessPath>& paths,
                                   bool scales, int most_folds);

}  // namespace funcnn::cpu::jit
