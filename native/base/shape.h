// Shapes and strides (strides count elements, not bytes).
#pragma once

#include <cstdint>
#include <ostream>

#include "base/small_vector.h"

namespace funcnn {

using Shape = SmallVector<int64_t, 4>;
using Strides = SmallVector<int64_t, 4>;
using Axes = SmallVector<int, 4>;

inline int64_t element_count(const Shape& shape) {
  int64_t n = 1;
  for (int64_t d : shape) n *= d;
  return n;
}

// Row-major strides of a dense array.
Strides contiguous_strides(const Shape& shape);
// Whether elements lie densely in row-major order (axes of length 1 do not matter).
bool is_contiguous(const Shape& shape, const Strides& strides);

// The common shape of operands that broadcast; raises ValueError naming `op` and both shapes.
Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b);

// The axis counted from the front; raises AxisError naming `op`.
int normalize_axis(const char* op, int64_t axis, size_t rank);
// Sorted distinct axes counted from the front; raises AxisError or, on repeats, ValueError.
Axes normalize_axes(const char* op, std::span<const int64_t> axes, size_t rank);

// Strides that give the elements of (shape, strides) the new shape without moving them; false if none do.
bool reshape_strides(const Shape& shape, const Strides& strides, const Shape& target, Strides& out);

// The shortest loop nest over `shape` for operands with these strides, all in place: axes of length 1 are dropped, and
// neighbours that are one run for every operand merged.
void merge_axes(Shape& shape, std::initializer_list<Strides*> operands);
void merge_axes(Shape& shape, std::span<Strides* const> operands);

std::ostream& operator<<(std::ostream& out, const Shape& shape);  // (2, 3)

}  // namespace funcnn
