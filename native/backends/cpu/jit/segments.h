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
  // index: the number of the first element of each row; column: what a reduction of columns takes
  enum Kind : uint8_t { slot, path, partial, flag, index, column };
  Kind kind = slot;
  int number = 0;    // of the slot, the path, the reduction, or among the columns
  bool row = false;  // path: an element for each row
  bool written = false;
  bool operator==(const Place&) const = default;
};

// A reduction of columns, which follows when the code has put its elements into memory of the thread.
struct Column {
  int stream = -1, reduction = -1;
  simd::ColReduceFn reduce = nullptr;
  size_t item = 4;
};

struct Segment {
  size_t first = 0, count = 0;  // steps that it stands for
  std::vector<size_t> before;   // those of them that are interpreted, before it runs
  bool of_rows = false;         // its elements are the rows of the tile
  Loop loop;
  std::vector<Place> places;  // of the streams
  std::vector<int> results;   // the streams that anything else reads
  std::vector<Column> columns;
  bool numbers_floats = false;  // makes float32 of the numbers of elements, which have to be those of int32
  bool parts_are_rows = false;  // parts of a row can be taken for rows: nothing but partial results is known by row
  bool fills_tile = false;      // values of elements are kept, or come, in registers of the tile
  bool narrow = false;          // all is of 8 or 16 bits: loops over packed elements are quicker over long tiles
};

std::vector<Segment> find_segments(const Routine& routine, const Code& code, const std::vector<AccessPath>& paths,
                                   const Target& target);

}  // namespace funcnn::cpu::jit
