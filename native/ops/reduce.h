// Reductions over axes.
#pragma once

#include <optional>
#include <span>
#include <string_view>

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
// The axes meant in an array of this rank, sorted.
Axes resolve_axes(const char* op, const AxisSet& axes, size_t rank);

// What a reduction takes of the array and what it starts from; null arrays say nothing.
struct Selection {
  Array where = {};    // bool, broadcast to the array's shape: the elements that count
  Array initial = {};  // a scalar, combined with the result
};

// How many elements of a bool array are true: int32, or int64 where that may not count them.
Array count(const Array& mask, std::span<const int> axes, bool keepdims);

// Integers and bool are summed and multiplied in (u)int32 or their own wider type.
Dtype sum_dtype(Dtype dtype);
Array sum(const Array& x, const AxisSet& axes, bool keepdims, const Selection& selection = {});
Array prod(const Array& x, const AxisSet& axes, bool keepdims, const Selection& selection = {});
// Of no elements, or of those that a mask leaves, there is a maximum only beside an initial value.
Array max(const Array& x, const AxisSet& axes, bool keepdims, const Selection& selection = {});
Array min(const Array& x, const AxisSet& axes, bool keepdims, const Selection& selection = {});
Array all(const Array& x, const AxisSet& axes, bool keepdims, const Array& where = {});
Array any(const Array& x, const AxisSet& axes, bool keepdims, const Array& where = {});
// Integers are converted to float32; 16-bit floats are accumulated in float32.
Array mean(const Array& x, const AxisSet& axes, bool keepdims, const Array& where = {});
Array var(const Array& x, const AxisSet& axes, bool keepdims, double ddof, const Array& where = {});
Array std(const Array& x, const AxisSet& axes, bool keepdims, double ddof, const Array& where = {});
Array logsumexp(const Array& x, const AxisSet& axes, bool keepdims);
Array softmax(const Array& x, const AxisSet& axes);
Array log_softmax(const Array& x, const AxisSet& axes);
// `named` is "fro" or "nuc" (matrices only) or empty; without an order, the 2-norm of all elements along the axes.
Array norm(const Array& x, std::optional<double> order, std::string_view named, const AxisSet& axes, bool keepdims);

}  // namespace funcnn
