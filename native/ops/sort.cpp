#include "ops/sort.h"

#include <limits>

#include "base/error.h"
#include "graph/integers.h"
#include "graph/primitive.h"
#include "ops/annotate.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "ops/rules.h"
#include "ops/sort_primitives.h"
#include "ops/views.h"

namespace funcnn {

// ---- values in order

Arrays InOrder::vjp(const VjpContext& v) const {
  // The values are x read at positions of which no two are alike; the cotangent goes back the same way.
  const Array& x = v.inputs[0];
  return {put_along_axis(zeros_like(x), positions(stop_gradient(x)), v.cotangents[0], axis_)};
}

std::optional<Arrays> InOrder::jvp(Span inputs, Span tangents, Span) const {
  if (!tangents[0]) return Arrays{Array()};
  return Arrays{take_along_axis(tangents[0], positions(stop_gradient(inputs[0])), axis_)};
}

Array Sort::positions(const Array& x) const { return argsort(x, axis_); }
Batched Sort::batch(Span inputs, std::span<const bool>, int64_t) const {
  return {{sort(inputs[0], axis_ + 1)}, {true}};
}

Array TopK::positions(const Array& x) const {
  int64_t length = x.dim(axis_);
  return slice_axis(argsort(x, axis_), axis_, length - k_, length);
}
Batched TopK::batch(Span inputs, std::span<const bool>, int64_t) const {
  return {{topk(inputs[0], k_, axis_ + 1)}, {true}};
}

Array PartitionedValues::positions(const Array& x) const { return argpartition(x, kth_, axis_); }
Batched PartitionedValues::batch(Span inputs, std::span<const bool>, int64_t) const {
  return {{partition(inputs[0], kth_, axis_ + 1)}, {true}};
}

// ---- positions in order

Arrays ArgSort::vjp(const VjpContext&) const { return derivative_of_indices(*this, 1); }
std::optional<Arrays> ArgSort::jvp(Span, Span, Span) const { return Arrays{Array()}; }
Batched ArgSort::batch(Span inputs, std::span<const bool>, int64_t) const {
  return {{argsort(inputs[0], axis_ + 1)}, {true}};
}
Batched ArgPartition::batch(Span inputs, std::span<const bool>, int64_t) const {
  return {{argpartition(inputs[0], kth_, axis_ + 1)}, {true}};
}

// ---- positions in a sorted array

namespace {

Array searchsorted_batched(const Array& sorted, const Array& values, bool right) {
  const Array inputs[] = {sorted, values};
  return make_node(Ref<const Primitive>(new SearchSorted(right)), inputs, values.shape(), Dtype::uint32);
}

}  // namespace

Arrays SearchSorted::vjp(const VjpContext&) const { return derivative_of_indices(*this, 2); }
std::optional<Arrays> SearchSorted::jvp(Span, Span, Span) const { return Arrays{Array()}; }
Batched SearchSorted::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  return {{searchsorted_batched(with_batch_axis(inputs[0], batched[0], size),
                                with_batch_axis(inputs[1], batched[1], size), right_)},
          {true}};
}

// ---- public functions

void check_positions(const char* op, int64_t length) {
  if (length > int64_t(std::numeric_limits<uint32_t>::max()))
    throw ValueError(cat(op, ": positions are uint32, which does not count the ", length,
                         " elements of the axis; take it in parts"));
}

Array sort(const Array& x, MaybeAxis axis) {
  if (!axis) return sort(reshape(x, {-1}), 0);
  int at = normalize_axis("sort", *axis, x.ndim());
  return make_node(Ref<const Primitive>(new Sort(at)), Span(&x, 1), x.shape(), x.dtype());
}

Array argsort(const Array& x, MaybeAxis axis) {
  if (!axis) return argsort(reshape(x, {-1}), 0);
  int at = normalize_axis("argsort", *axis, x.ndim());
  check_positions("argsort", x.dim(at));
  return make_node(Ref<const Primitive>(new ArgSort(at)), Span(&x, 1), x.shape(), Dtype::uint32);
}

namespace {

// `kth` counted from the front.
int64_t checked_kth(const char* op, const Array& x, int64_t kth, int axis) {
  int64_t length = x.dim(axis);
  if (kth < -length || kth >= length)
    throw ValueError(cat(op, ": kth ", kth, " is out of range for an axis of length ", length));
  return kth < 0 ? kth + length : kth;
}

}  // namespace

Array partition(const Array& x, int64_t kth, MaybeAxis axis) {
  if (!axis) return partition(reshape(x, {-1}), kth, 0);
  int at = normalize_axis("partition", *axis, x.ndim());
  Ref<const Primitive> op(new PartitionedValues(checked_kth("partition", x, kth, at), at));
  return make_node(std::move(op), Span(&x, 1), x.shape(), x.dtype());
}
Array argpartition(const Array& x, int64_t kth, MaybeAxis axis) {
  if (!axis) return argpartition(reshape(x, {-1}), kth, 0);
  int at = normalize_axis("argpartition", *axis, x.ndim());
  check_positions("argpartition", x.dim(at));
  Ref<const Primitive> op(new ArgPartition(checked_kth("argpartition", x, kth, at), at));
  return make_node(std::move(op), Span(&x, 1), x.shape(), Dtype::uint32);
}

Array topk(const Array& x, int64_t k, MaybeAxis axis) {
  if (!axis) return topk(reshape(x, {-1}), k, 0);
  int at = normalize_axis("topk", *axis, x.ndim());
  int64_t length = x.shape()[size_t(at)];
  if (k < 0 || k > length)
    throw ValueError(cat("topk: k must be between 0 and the length of the axis, ", length, "; got ", k));
  if (k == length) return sort(x, at);
  Shape shape = x.shape();
  shape[size_t(at)] = k;
  return make_node(Ref<const Primitive>(new TopK(k, at)), Span(&x, 1), std::move(shape), x.dtype());
}

Array searchsorted(const Array& sorted, const Array& values, bool right) {
  if (sorted.ndim() != 1)
    throw ValueError(cat("searchsorted: the sorted array must have one axis, got shape ", sorted.shape()));
  check_positions("searchsorted", sorted.dim(0));
  Dtype dtype = promote_types(sorted.dtype(), values.dtype());
  return searchsorted_batched(astype(sorted, dtype), astype(values, dtype), right);
}

}  // namespace funcnn
