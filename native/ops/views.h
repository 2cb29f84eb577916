// Views: the same elements, placed differently. None of them runs a kernel on dense memory.
#pragma once

#include <span>

#include "graph/array.h"

namespace funcnn {

Array reshape(const Array& x, Shape shape);  // one axis may be -1
Array broadcast_to(const Array& x, const Shape& shape);
Arrays broadcast_arrays(Span arrays);
Array transpose(const Array& x, std::span<const int64_t> axes);  // axes: a permutation; empty: reverse
Array swapaxes(const Array& x, int64_t a, int64_t b);
Array moveaxis(const Array& x, int64_t from, int64_t to);
Array expand_dims(const Array& x, std::span<const int64_t> axes);
Array squeeze(const Array& x, std::span<const int64_t> axes);  // empty: every axis of length 1
// Merge axes start..end (inclusive) into one; a scalar becomes a vector.
Array flatten(const Array& x, int64_t start, int64_t end);
Array unflatten(const Array& x, int64_t axis, const Shape& shape);
// Elements start, start + step, ... of each axis; `stop` is exclusive; steps may be negative but not zero. Positions
// count from the front as they are (Python's slice.indices gives them: stop -1 with a negative step is "past the
// first") and are clipped to the axis.
Array slice(const Array& x, std::span<const int64_t> start, std::span<const int64_t> stop,
            std::span<const int64_t> step);
// Elements [start, stop) of one axis; start and stop within the axis.
Array slice_axis(const Array& x, int axis, int64_t start, int64_t stop);
// The order of elements along the axes reversed.
Array flip(const Array& x, std::span<const int64_t> axes);

}  // namespace funcnn
