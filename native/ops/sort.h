// Order along an axis. Sorting is ascending and stable; NaN comes last; complex numbers compare by real, then imaginary
// part.
#pragma once

#include <optional>

#include "graph/array.h"

namespace funcnn {

// Without an axis: of x flattened.
using MaybeAxis = std::optional<int64_t>;

// Positions are uint32: refuses an axis of more elements than that counts.
void check_positions(const char* op, int64_t length);

Array sort(const Array& x, MaybeAxis axis);
// Positions (uint32) of the elements in sorted order.
Array argsort(const Array& x, MaybeAxis axis);
// The element at `kth` is the one sorting puts there; none before it is larger, none after it smaller.
Array partition(const Array& x, int64_t kth, MaybeAxis axis);
Array argpartition(const Array& x, int64_t kth, MaybeAxis axis);
// The k largest elements, in ascending order.
Array topk(const Array& x, int64_t k, MaybeAxis axis);
// For each value, where it belongs in `sorted` (1-D, ascending): how many elements are smaller or, on the right side,
// not larger. uint32.
Array searchsorted(const Array& sorted, const Array& values, bool right);

}  // namespace funcnn
