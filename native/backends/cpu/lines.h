// Kernels that work along one axis see their operands as lines.
#pragma once

#include <cstdint>

#include "plan/backend.h"

namespace funcnn::cpu {

// The lines of a layout along `axis`, numbered in row-major order of the other axes.
class Lines {
 public:
  Lines(const Layout& layout, int axis) : length_(layout.shape[size_t(axis)]), step_(layout.strides[size_t(axis)]) {
    for (int i = 0; i < int(layout.shape.size()); ++i) {
      if (i == axis) continue;
      shape_.push_back(layout.shape[size_t(i)]);
      strides_.push_back(layout.strides[size_t(i)]);
    }
  }
  int64_t count() const { return element_count(shape_); }
  int64_t length() const { return length_; }
  int64_t step() const { return step_; }
  // So many neighbouring lines lie side by side: their starts are consecutive, beginning at every multiple of it.
  int64_t side_by_side() const { return !shape_.empty() && strides_.back() == 1 ? shape_.back() : 1; }
  // Each begins where the one before ends, and has its elements side by side.
  bool are_dense() const {
    int64_t next = length_;
    for (size_t d = shape_.size(); d-- > 0; next *= shape_[d])
      if (shape_[d] != 1 && strides_[d] != next) return false;
    return step_ == 1 || length_ == 1;
  }
  // Offset (elements) of the first element of a line.
  int64_t start(int64_t line) const {
    int64_t offset = 0;
    for (size_t d = shape_.size(); d-- > 0;) {
      offset += line % shape_[d] * strides_[d];
      line /= shape_[d];
    }
    return offset;
  }

 private:
  Shape shape_;
  Strides strides_;
  int64_t length_, step_;
};

}  // namespace funcnn::cpu
