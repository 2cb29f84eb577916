// Buffers to be found by address: few, mostly, but a loop may have thousands of carries.
#pragma once

#include <algorithm>
#include <functional>
#include <span>

#include "base/buffer.h"
#include "base/small_vector.h"

namespace funcnn {

class BufferSet {
 public:
  BufferSet() = default;
  explicit BufferSet(std::span<const Buffer* const> buffers) : sorted_(buffers) {
    std::sort(sorted_.begin(), sorted_.end(), std::less<>());
  }
  void insert(const Buffer* buffer) {
    sorted_.insert(std::lower_bound(sorted_.begin(), sorted_.end(), buffer, std::less<>()), buffer);
  }
  bool contains(const Buffer* buffer) const {
    return std::binary_search(sorted_.begin(), sorted_.end(), buffer, std::less<>());
  }

 private:
  SmallVector<const Buffer*, 4> sorted_;
};

}  // namespace funcnn
