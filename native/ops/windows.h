// Windows that slide over the spatial axes of an array, channels last: what pooling reduces.
#pragma once

#include "graph/array.h"
#include "graph/primitive.h"

namespace funcnn {

// x (N, spatial..., C) seen through windows: (N, windows..., window..., C), without padding. A view.
Array windows(const Array& x, const Shape& window, const Shape& stride);
// Its transpose: each element of (N, windows..., window..., C) added where it comes from; `spatial` is the shape there.
Array sum_windows(const Array& x, const Shape& spatial, const Shape& window, const Shape& stride);

// The maximum (ReduceOp::max) or the sum of each window: (N, windows..., C). Sums of 16-bit floats are float32.
// Elements that share a maximum share its gradient evenly.
Array reduce_windows(ReduceOp op, const Array& x, const Shape& window, const Shape& stride);

class SumWindows final : public Primitive {
 public:
  SumWindows(Shape spatial, Shape window, Shape stride)
      : spatial_(std::move(spatial)), window_(std::move(window)), stride_(std::move(stride)) {}
  std::string_view name() const override { return "sum_windows"; }
  void hash(Hasher& h) const override;
  std::string parameters() const override;
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  const Shape& window() const { return window_; }
  const Shape& stride() const { return stride_; }

 private:
  Shape spatial_, window_, stride_;
};

}  // namespace funcnn
