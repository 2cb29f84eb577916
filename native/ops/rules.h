// What the rules of many primitives share.
#pragma once

#include <span>

#include "graph/array.h"
#include "graph/opcode.h"

namespace funcnn {

// Sum a cotangent over the axes along which `shape` was broadcast.
Array sum_to(const Array& cotangent, const Shape& shape);
// sum_to and conversion to the dtype of the input (complex cotangents of real inputs lose the imaginary part).
Array cotangent_for(const Array& cotangent, const Array& input);
// Give every batched input the rank of the widest, with the batch axis in front, so that implicit broadcasting aligns
// the rest; unbatched inputs stay as they are.
Arrays align_batched(Span inputs, std::span<const bool> batched);
// Put a batch axis of length `size` in front of what is not batched.
Array with_batch_axis(const Array& x, bool batched, int64_t size);
// a + b where null is zero.
Array add_or_null(const Array& a, const Array& b);
Array zeros_like(const Array& x);
Array full(const Shape& shape, const Array& value);  // value: 0-d or broadcastable

// The strides of x over what it is a view of, taken for dense: how it will lie. Only nodes that keep their inputs are
// looked through; others may be changing.
Strides strides_as_view(const Array& x);

// The number of the dtype that no other is beyond: what a maximum or minimum begins with.
Array farthest(ReduceOp op, Dtype dtype);

}  // namespace funcnn
