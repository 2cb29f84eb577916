// Copies between strided layouts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
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

  // The same in blocks, each on the calling thread.
  int64_t blocks() const { return blocks_; }
  void run_blocks(const std::byte* from, std::byte* to, int64_t begin, int64_t end) const;
  // So many are worth a thread.
  int64_t grain() const { return grain_; }

 private:
  struct Axis {
    int64_t length, from, to;  // steps in bytes
  };

  std::vector<Axis> outer_;
  Axis rows_{1, 0, 0}, columns_{1, 0, 0};  // the two innermost; columns run along `to`
  int64_t row_block_ = 1, column_block_ = 1, row_blocks_ = 1, column_blocks_ = 1;
  int64_t blocks_ = 0, grain_ = 1;
  size_t item_ = 1, dense_ = 0;  // dense_: bytes, of one block without gaps
};

// Several copies as one loop.
class JointCopy {
 public:
  void add(StridedCopy copy);
  // `places(i)`: from where and to where the copy that was added as number i goes.
  template <class F>
  void run(F&& places) const {
    run_each([](const void* f, size_t i) { return (*static_cast<const F*>(f))(i); }, &places);
  }

 private:
  using Places = std::pair<const std::byte*, std::byte*>;
  void run_each(Places (*places)(const void*, size_t), const void* f) const;

  std::vector<StridedCopy> copies_;
  std::vector<int64_t> ends_;  // of the blocks of each
  double grains_ = 0;          // how many there are
};

// rows x columns elements of `item` bytes, to dense rows one after another; steps of `from` in bytes.
void copy_rows(const std::byte* from, std::byte* to, int64_t rows, int64_t columns, int64_t from_row,
               int64_t from_column, size_t item);

// `count` elements of `item` bytes at `to`, all equal to the one at `value`. On as many threads as pay off.
void fill(std::byte* to, int64_t count, size_t item, const std::byte* value);

}  // namespace funcnn::cpu
