// Where the largest and smallest elements are.
#pragma once

#include "graph/primitive.h"
#include "ops/sort.h"

namespace funcnn {

// Position (uint32) of the first largest or smallest element along the axis, or of the first NaN if there is one.
// Without an axis: in x flattened.
Array argmax(const Array& x, MaybeAxis axis, bool keepdims);
Array argmin(const Array& x, MaybeAxis axis, bool keepdims);

class ArgReduce final : public Primitive {
 public:
  ArgReduce(bool largest, int axis) : largest_(largest), axis_(axis) {}
  std::string_view name() const override { return largest_ ? "argmax" : "argmin"; }
  void hash(Hasher& h) const override { h.add(axis_); }
  std::string parameters() const override { return "axis=" + std::to_string(axis_); }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  bool largest() const { return largest_; }
  int axis() const { return axis_; }

 private:
  bool largest_;
  int axis_;
};

}  // namespace funcnn
