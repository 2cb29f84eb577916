// From index arrays to the places in memory that they address.
#pragma once

#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "base/dtype.h"
#include "ops/gather.h"
#include "plan/backend.h"

namespace funcnn::cpu {

class Positions {
 public:
  // Anything below: an index was out of range.
  static constexpr int64_t kOutside = std::numeric_limits<int64_t>::min() / 128;
  static bool outside(int64_t offset) { return offset < kOutside; }

  // `x`: the array addressed; `common`: the shape of the positions, to which the indices broadcast.
  Positions(const Layout& x, std::span<const Layout> indices, const IndexedAxes& axes, const Shape& common);

  int64_t size() const { return size_; }
  // Offsets into x (elements) of positions [begin, end), row-major.
  void offsets(int64_t begin, int64_t end, std::span<std::byte* const> indices, int64_t* out) const;

  // Where one index of one axis leads, if there is no more to it: an offset as of `offsets`.
  struct Single {
    Dtype dtype;
    int64_t length, step;
    int64_t offset(const std::byte* index) const;
  };
  std::optional<Single> single() const;

  // Positions in rows that all have the same indices: row r addresses what row 0 does, r * step further on. One row
  // where they are not of that kind.
  struct Repeats {
    int64_t rows = 1, step = 0;
  };
  Repeats repeats() const;

 private:
  struct Index {
    Dtype dtype;
    Strides strides;
    int64_t length, step;  // of the axis of x
  };
  Shape lengths_;
  Strides base_;
  std::vector<Index> indices_;
  int64_t size_;
};

}  // namespace funcnn::cpu
