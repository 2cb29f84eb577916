#include "backends/cpu/strided.h"

namespace funcnn::cpu {

LoopNest::LoopNest(const Shape& shape, std::initializer_list<const Strides*> operands) : lengths(shape) {
  for (const Strides* s : operands) strides.push_back(*s);
  SmallVector<Strides*, 4> all;
  for (Strides& s : strides) all.push_back(&s);
  merge_axes(lengths, std::span<Strides* const>(all.data(), all.size()));
}

}  // namespace funcnn::cpu
