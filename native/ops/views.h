// Views: the same elements, placed differently. None of them runs a kernel on dense memory.
#pragma once

#include <span>

#include "graph/array.h"

namespace funcnn {

Array reshape(const Array& x, Shape shape);  // one axis may be -1
Array broadcast_to(const Array& x, const Shape& shape);
Array transpose(const Array& x, std::span<const int64_t> axes);  // axes: a permutation; empty: reverse
Array swapaxes(const Array& x, int64_t a, int64_t b);
Array moveaxis(const Array& x, int64_t from, int64_t to);
Array expand_dims(const Array& x, std::span<const int64_t> axes);
Array squeeze(const Array& x, std::span<const int64_t> axes);
// Elements start, start + step, ... of each axis; `stop` is exclusive; steps may be negative but not zero.
Array slice(const Array& x, std::span<const int64_t> start, std::span<const int64_t> stop, std::span<const int64_t> step);

}  // namespace funcnn
