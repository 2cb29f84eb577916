// Random draws as functions of a key.
#pragma once

#include <optional>

#include "graph/array.h"

namespace funcnn::random {

// Without a shape: the common shape of the parameters. `key` is uint32 of shape (2,). Parameters are arrays that
// broadcast to the shape; those that may be missing are null arrays.
using MaybeShape = std::optional<Shape>;

Array key(uint64_t seed);
// (count, 2): keys of independent streams.
Array split(const Array& key, int64_t count);
// Another key from a key and a number (uint32, 0-d).
Array fold_in(const Array& key, const Array& data);

// Unsigned integers of `width` bytes (1, 2 or 4).
Array bits(const Array& key, const Shape& shape, int width);
Array uniform(const Array& key, const MaybeShape& shape, Dtype dtype, const Array& low, const Array& high);
Array normal(const Array& key, const MaybeShape& shape, Dtype dtype, const Array& loc, const Array& scale);
Array bernoulli(const Array& key, const Array& p, const MaybeShape& shape);
Array randint(const Array& key, const Array& low, const Array& high, const MaybeShape& shape, Dtype dtype);
Array truncated_normal(const Array& key, const Array& lower, const Array& upper, const MaybeShape& shape, Dtype dtype);
Array gumbel(const Array& key, const Shape& shape, Dtype dtype);
Array laplace(const Array& key, const MaybeShape& shape, Dtype dtype, const Array& loc, const Array& scale);
// Positions along `axis` of the logits, drawn with probability softmax(logits). `shape`: of the result; must end in the
// shape of the logits without the axis, or broadcast with it.
Array categorical(const Array& key, const Array& logits, int64_t axis, const MaybeShape& shape,
                  std::optional<int64_t> count);
// The numbers below n, or the elements of x along an axis, in random order.
Array permutation(const Array& key, int64_t n);
Array permutation(const Array& key, const Array& x, int64_t axis);

}  // namespace funcnn::random
