// Reductions over axes.
#pragma once

#include <span>

#include "graph/array.h"
#include "graph/opcode.h"

namespace funcnn {

// The primitive itself: no promotion of dtypes; the axes disappear unless `keepdims`.
Array reduce(ReduceOp op, const Array& x, std::span<const int> axes, bool keepdims);

// Public functions: `axes` empty with `all` means every axis.
struct AxisSet {
  bool all = true;
  SmallVector<int64_t, 4> axes;
  AxisSet() = default;
  AxisSet(std::initializer_list<int64_t> list) : all(false), axes(list) {}
};
Array sum(const Array& x, const AxisSet& axes, bool keepdims);
Array prod(const Array& x, const AxisSet& axes, bool keepdims);
Array mean(const Array& x, const AxisSet& axes, bool keepdims);
Array var(const Array& x, const AxisSet& axes, bool keepdims, int ddof);
Array max(const Array& x, const AxisSet& axes, bool keepdims);
Array min(const Array& x, const AxisSet& axes, bool keepdims);
Array all(const Array& x, const AxisSet& axes, bool keepdims);
Array any(const Array& x, const AxisSet& axes, bool keepdims);
Array logsumexp(const Array& x, const AxisSet& axes, bool keepdims);
Array softmax(const Array& x, const AxisSet& axes);

}  // namespace funcnn
