// Reading and writing ranges of a strided operand, with conversion between memory and register dtypes.
#pragma once

#include <span>

#include "backends/cpu/simd/table.h"
#include "plan/kernel_program.h"

namespace funcnn::cpu {

class AccessPath {
 public:
  AccessPath() = default;
  AccessPath(const Access& access, Dtype value, const simd::Table& table);

  int operand() const { return operand_; }
  // No conversion is needed and the elements lie densely.
  bool dense() const { return same_ && lies_densely(); }
  bool lies_densely() const { return lengths_.empty() || (lengths_.size() == 1 && strides_[0] == 1); }
  Dtype memory() const { return memory_; }
  // Dense rows of `cols` elements that repeat for every row.
  bool repeats_row(int64_t cols) const;
  // One value repeated along every row of `cols` elements.
  bool repeats_value(int64_t cols) const;
  AccessPath without_columns() const;
  // The number of columns of the two cases above, or 0.
  int64_t natural_columns() const;

  // Rows of `cols` elements each lie densely, if not behind each other.
  bool lies_in_rows(int64_t cols) const;
  // The length of its inner axis where that lies densely below others, or 0.
  int64_t dense_columns() const;
  // Where elements begin, begin + step, ... lie; a step crosses the end of an inner axis only by reaching it.
  void places(std::byte* base, int64_t begin, int64_t step, std::span<std::byte*> out) const;

  // After how many elements it repeats, or 0.
  int64_t period() const;
  // The longest stretch of its inner axes of at most so many elements.
  int64_t stretch(int64_t most) const;

  // The number of columns where it is the transpose of a matrix whose rows lie densely, or 0.
  int64_t turned_columns() const;

  int64_t offset_bytes() const { return offset_ * int64_t(memory_item_); }

  // Elements [begin, begin + n) in row-major order; `base` is the operand.
  void load(const std::byte* base, std::byte* out, int64_t begin, int64_t n) const;
  void store(std::byte* base, const std::byte* in, int64_t begin, int64_t n) const;

 private:
  void number_blocks();
  void read(size_t d, const std::byte* base, std::byte* out, int64_t at, int64_t begin, int64_t n) const;
  template <class F>
  void runs(int64_t begin, int64_t n, F&& f) const;

  int operand_ = 0;
  int64_t offset_ = 0;
  Shape lengths_;    // without axes of length 1, neighbours merged
  Strides strides_;  // elements
  Shape blocks_;     // elements below each axis
  Dtype memory_ = Dtype::float32;
  size_t memory_item_ = 4, value_item_ = 4;
  bool same_ = true;
  simd::CastFn to_value_ = nullptr, to_memory_ = nullptr;
  const simd::Table* table_ = nullptr;
};

inline int size_log2(size_t item) { return item == 1 ? 0 : item == 2 ? 1 : item == 4 ? 2 : 3; }

}  // namespace funcnn::cpu
