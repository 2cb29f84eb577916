// Writing a rectangular part: the other half of `slice`.
#pragma once

#include "graph/primitive.h"

namespace funcnn {

// x with elements start, start + step, ... of each axis replaced by `values`, whose shape says how many; all of them
// lie within x. Steps may be negative.
Array slice_update(const Array& x, const Array& values, const Shape& start, const Shape& step);

// Inputs: x, values.
class SliceUpdate final : public Primitive {
 public:
  SliceUpdate(Shape start, Shape step) : start_(std::move(start)), step_(std::move(step)) {}
  std::string_view name() const override { return "slice_update"; }
  bool only_moves() const override { return true; }
  void hash(Hasher& h) const override;
  std::string parameters() const override;
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  int reusable_input() const override { return 0; }
  const Shape& start() const { return start_; }
  const Shape& step() const { return step_; }

 private:
  Shape start_, step_;
};

}  // namespace funcnn
