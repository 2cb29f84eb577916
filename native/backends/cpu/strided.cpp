#include "backends/cpu/strided.h"

namespace funcnn::cpu {

LoopNest::LoopNest(const Shape& shape, std::initializer_list<const Strides*> operands) {
  strides.resize(operands.size());
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == 1) continue;
    bool merges = !lengths.empty();
    size_t i = 0;
    for (const Strides* s : operands) merges = merges && strides[i++].back() == (*s)[axis] * shape[axis];
    i = 0;
    if (merges) {
      lengths.back() *= shape[axis];
      for (const Strides* s : operands) strides[i++].back() = (*s)[axis];
    } else {
      lengths.push_back(shape[axis]);
      for (const Strides* s : operands) strides[i++].push_back((*s)[axis]);
    }
  }
}

}  // namespace funcnn::cpu
