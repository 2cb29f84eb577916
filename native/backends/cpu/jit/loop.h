// A loop over a tile as generators of machine code take it: what happens to each vector of elements, where operands
// lie, and what is reduced.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "backends/cpu/jit/line.h"
#include "base/dtype.h"
#include "graph/opcode.h"

namespace funcnn::cpu::jit {

// How memory is walked.
enum class Walk : uint8_t {
  element,  // dense, rows behind each other
  column,   // one dense row for every row
  row,      // one value a row
  scalar,   // one value
};
struct Stream {
  Walk walk = Walk::element;
  Dtype memory = Dtype::float32;
  bool operator==(const Stream&) const = default;
};

// Of each row: in the order of simd/reduce_rows.cpp, of one block. Partial results of longer rows are the caller's.
struct Fold {
  ReduceOp op = ReduceOp::sum;
  bool squares = false;  // of the squares
  Dtype dtype = Dtype::float32;
  int stream = -1;  // walked by row, takes the result
};
// Lanes of a fold: 256 bytes, whatever the width of vectors.
inline constexpr int kFoldBytes = 256;
inline constexpr int64_t kFoldBlock = 2048;

struct Loop {
  Line line;
  std::vector<Stream> streams;
  std::vector<Fold> folds;

  // Whether anything depends on the row; else a tile is one row.
  bool by_rows() const {
    if (!folds.empty()) return true;
    for (const Stream& s : streams)
      if (s.walk == Walk::row || s.walk == Walk::column) return true;
    return false;
  }
};

// What generated code reads, at fixed places.
inline constexpr int kMostStreams = 32;
struct Frame {
  int64_t rows = 0, cols = 0;
  int64_t grouped = 0;    // elements of a row in whole groups of a fold's lanes
  int64_t whole = 0;      // in whole vectors
  int64_t tail_mask = 0;  // a bit for each of the rest
  int32_t tail_lanes[8] = {};
  std::byte* stream[kMostStreams];
};
using Generated = void (*)(Frame*);

}  // namespace funcnn::cpu::jit
