// A loop over a tile as generators of machine code take it: what happens to each row and to each vector of its
// elements, where operands lie, and what is reduced.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
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
constexpr std::string_view walk_name(Walk walk) {
  constexpr std::string_view names[] = {"element", "column", "row", "scalar"};
  return names[size_t(walk)];
}
struct Stream {
  Walk walk = Walk::element;
  Dtype memory = Dtype::float32;
  bool anywhere = false;  // walked by element or row: a table says where each row begins
  bool operand = false;   // not memory of the thread, which is in its cache
  bool operator==(const Stream&) const = default;
};

// Bytes of so many elements of a result that can go to memory past the caches; 0: they cannot.
constexpr int bytes_past_caches(const Stream& s, int elements) {
  const int bytes = elements * int(item_size(s.memory));
  return s.operand && s.walk == Walk::element && !s.anywhere && bytes >= 32 ? bytes : 0;
}

// Of each row, in the order of simd/reduce_rows.cpp.
struct Fold {
  ReduceOp op = ReduceOp::sum;
  bool squares = false;  // of the squares
  Dtype dtype = Dtype::float32;
  int stream = -1;  // walked by row, takes the result
};
// Lanes of a fold: 256 bytes, whatever the width of vectors, then 64 bytes. Blocks are folded by themselves.
inline constexpr int kFoldBytes = 256, kFewBytes = 64;
inline constexpr int kFoldBlock = 2048, kMostBlocks = 32;
inline constexpr int kLeastFold = 16;  // shorter rows are folded otherwise

// One pass over a row. First comes what is the same for all of it; values stored into streams that are walked by row
// are among that.
struct Stage {
  Line line;
  std::vector<Fold> folds;
};
struct Loop {
  bool wide = false;  // lanes of 8 bytes
  std::vector<Stream> streams;
  std::vector<Stage> stages;  // of each row, one after the other
  int flag = -1;              // a stream of one byte, for choices by row
  // All is about single values, and done once, in order: streams are scalars, and nodes read and write so many bytes
  // after their beginning as their bits say. `leave` ends it before that, with its bits as the number of rows.
  bool straight = false;

  bool folds() const {
    for (const Stage& s : stages)
      if (!s.folds.empty()) return true;
    return false;
  }
  // Whether anything depends on the row; else a tile is one row.
  bool by_rows() const {
    if (folds() || stages.size() > 1) return true;
    for (const Stream& s : streams)
      if (s.walk == Walk::row || s.walk == Walk::column || s.anywhere) return true;
    return false;
  }
};

// The loop holds what a generator does not know, or needs more registers than there are.
struct Refused {
  const char* why;
};

// What generated code reads, at fixed places.
inline constexpr int kMostStreams = 32, kMostFolds = 3;  // kMostFolds: of a stage
struct Frame {
  int64_t rows = 0, cols = 0;
  int64_t whole = 0;      // elements of a row in whole vectors, of its last block those behind whole groups of lanes
  int64_t tail_mask = 0;  // a bit for each element behind these
  int64_t tail_lanes[4] = {};
  // Of folds: the block, its end and that of its whole groups of lanes, and what blocks have given.
  int64_t block = 0, block_end = 0, grouped = 0;
  int64_t past_caches = 0;  // whether whole vectors of results go to memory as they are, past the caches
  void (*meet)(Frame*, const Fold*, int64_t folds) = nullptr;  // blocks of a row: into streams
  alignas(8) std::byte partial[kMostFolds][kMostBlocks * 8];
  std::byte* stream[kMostStreams];
  std::byte* const* table[kMostStreams];  // of streams that are anywhere: the entry of this row; one follows the last
};
using Generated = void (*)(Frame*);

}  // namespace funcnn::cpu::jit
