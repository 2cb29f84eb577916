// Loops over strided memory shared by the kernels of primitives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/shape.h"

namespace funcnn::cpu {

// A loop nest over several operands: axes of length 1 dropped, axes that all operands step through as one merged.
struct LoopNest {
  Shape lengths;
  SmallVector<Strides, 4> strides;  // one for each operand

  LoopNest(const Shape& shape, std::initializer_list<const Strides*> operands);
  int64_t size() const { return element_count(lengths); }
  size_t rank() const { return lengths.size(); }
};

// Call f(TypeTag<unsigned integer>) of that many bytes: what moves elements without looking at them.
template <class F>
decltype(auto) visit_size(size_t bytes, F&& f) {
  switch (bytes) {
    case 1:
      return f(uint8_t{});
    case 2:
      return f(uint16_t{});
    case 4:
      return f(uint32_t{});
    default:
      return f(uint64_t{});
  }
}

}  // namespace funcnn::cpu
