#include "ops/argreduce.h"

#include "base/error.h"
#include "graph/integers.h"
#include "ops/views.h"

namespace funcnn {
namespace {

Array arg_reduce(bool largest, const Array& x, MaybeAxis axis, bool keepdims) {
  const char* op = largest ? "argmax" : "argmin";
  bool nothing = axis ? x.shape()[size_t(normalize_axis(op, *axis, x.ndim()))] == 0 : x.size() == 0;
  if (nothing) throw ValueError(cat(op, ": an array of shape ", x.shape(), " has no elements to choose from"));
  if (!axis) {
    Array found = arg_reduce(largest, reshape(x, {-1}), 0, false);
    return keepdims ? reshape(found, Shape(x.ndim(), 1)) : found;
  }
  int at = normalize_axis(op, *axis, x.ndim());
  check_positions(op, x.dim(at));
  Shape shape = x.shape();
  shape.erase(shape.begin() + at);
  Array found = make_node(Ref<const Primitive>(new ArgReduce(largest, at)), Span(&x, 1), shape, Dtype::uint32);
  if (!keepdims) return found;
  shape.insert(shape.begin() + at, 1);
  return reshape(found, shape);
}

}  // namespace

Arrays ArgReduce::vjp(const VjpContext&) const { return derivative_of_indices(*this, 1); }
std::optional<Arrays> ArgReduce::jvp(Span, Span, Span) const { return Arrays{Array()}; }
Batched ArgReduce::batch(Span inputs, std::span<const bool>, int64_t) const {
  return {{arg_reduce(largest_, inputs[0], axis_ + 1, false)}, {true}};
}

Array argmax(const Array& x, MaybeAxis axis, bool keepdims) { return arg_reduce(true, x, axis, keepdims); }
Array argmin(const Array& x, MaybeAxis axis, bool keepdims) { return arg_reduce(false, x, axis, keepdims); }

}  // namespace funcnn
