// Copies between strided layouts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/shape.h"

namespace funcnn::cpu {

// A copy of elements of `item` bytes over `shape`, prepared once: axes merged and ordered for the memory.
class StridedCopy {
 public:
  StridedCopy() = default;
  StridedCopy(const Shape& shape, const Strides& from, const Strides& to, size_t item);
  // On as many threads as pay off.
  void run(const std::byte* from, std::byte* to) const;

 private:
  struct Axis {
    int64_t length, from, to;  // steps in bytes
  };

  std::vector<Axis> outer_;
  Axis rows_{1, 0, 0}, columns_{1, 0, 0};  // the two innermost; columns run along `to`
  int64_t row_split_ = 1, block_ = 1;
  size_t item_ = 1;
  bool empty_ = false;
};

// rows x columns elements of `item` bytes, to dense rows one after another; steps of `from` in bytes.
void copy_rows(const std::byte* from, std::byte* to, int64_t rows, int64_t columns, int64_t from_row,
               int64_t from_column, size_t item);

// `count` elements of `item` bytes at `to`, all equal to the one at `value`. On as many threads as pay off.
void fill(std::byte* to, int64_t count, size_t item, const std::byte* value);

}  // namespace funcnn::cpu
