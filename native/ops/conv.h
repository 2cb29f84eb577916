// Convolutions over one to three spatial axes, channels last.
#pragma once

#include <span>
#include <string_view>

#include "graph/array.h"
#include "graph/primitive.h"

namespace funcnn {

// How a kernel goes over its input; lists have one entry for each spatial axis. Element k of the kernel meets, for
// output o, element o * stride - low + k * kernel_dilation of the input, between whose elements input_dilation - 1
// zeros are inserted, and beyond whose ends there are zeros. Negative padding crops. `flip`: the kernel runs backwards.
struct ConvGeometry {
  Shape stride, low, high, kernel_dilation, input_dilation;
  int64_t groups = 1;
  bool flip = false;

  // How many inputs apart the ends of a kernel axis of this length are, plus one.
  int64_t extent(size_t axis, int64_t kernel) const { return kernel_dilation[axis] * (kernel - 1) + 1; }
  // What there is of an input axis once it is dilated and padded.
  int64_t padded(size_t axis, int64_t length) const {
    return (length ? (length - 1) * input_dilation[axis] + 1 : 0) + low[axis] + high[axis];
  }
  int64_t output(size_t axis, int64_t length, int64_t kernel) const {
    int64_t room = padded(axis, length) - extent(axis, kernel);
    return room < 0 ? 0 : room / stride[axis] + 1;
  }
};

// x (N, spatial..., in) with weight (out, kernel..., in / groups): (N, spatial..., out). Both of one floating-point
// dtype; 16-bit floats are accumulated in float32. Shapes must fit.
Array conv(const Array& x, const Array& weight, const ConvGeometry& geometry);
// The gradient of `conv` by its weight, of spatial shape `kernel`, for a cotangent of its result.
Array conv_weight_gradient(const Array& x, const Array& cotangent, const ConvGeometry& geometry, const Shape& kernel);

// Public functions; `op` names them in errors, `spatial` is how many spatial axes there are (0: one to three). A list
// of one entry stands for all of them. `same`: instead of the padding given, as much as makes an output for each
// stride of the input, of an odd number the more behind.
Array conv_general(const char* op, size_t spatial, const Array& x, const Array& weight, ConvGeometry geometry,
                   bool same = false);
Array conv_transpose(const char* op, size_t spatial, const Array& x, const Array& weight, const Shape& stride,
                     const Shape& padding, const Shape& dilation, const Shape& output_padding, int64_t groups);
// Of vectors, with the shorter one reversed; `mode` is "full", "same" or "valid".
Array convolve(const Array& a, const Array& v, std::string_view mode);

// What both primitives hold.
class ConvPrimitive : public Primitive {
 public:
  ConvPrimitive(ConvGeometry geometry, Shape kernel) : geometry_(std::move(geometry)), kernel_(std::move(kernel)) {}
  void hash(Hasher& h) const override;
  std::string parameters() const override;
  bool dear() const override { return true; }
  const ConvGeometry& geometry() const { return geometry_; }
  const Shape& kernel() const { return kernel_; }

 protected:
  ConvGeometry geometry_;
  Shape kernel_;
};

// Inputs: x, weight.
class Conv final : public ConvPrimitive {
 public:
  using ConvPrimitive::ConvPrimitive;
  std::string_view name() const override { return "conv_general"; }
  double flops(const Shape& x, const Shape& out) const override;
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
};

// Inputs: x, cotangent.
class ConvWeightGradient final : public ConvPrimitive {
 public:
  using ConvPrimitive::ConvPrimitive;
  std::string_view name() const override { return "conv_weight_gradient"; }
  double flops(const Shape& x, const Shape& out) const override;
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
};

}  // namespace funcnn
