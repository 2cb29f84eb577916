#include "ops/windows.h"

#include "base/error.h"
#include "ops/rules.h"
#include "ops/views.h"

namespace funcnn {
namespace {

// The first two axes as one, and back.
Array merge_front(const Array& x) {
  Shape shape(x.shape().begin() + 1, x.shape().end());
  shape[0] *= x.dim(0);
  return reshape(x, std::move(shape));
}
Array split_front(const Array& x, int64_t size) {
  Shape shape{size};
  for (int64_t d : x.shape()) shape.push_back(d);
  shape[1] /= size;
  return reshape(x, std::move(shape));
}

class Windows final : public Primitive {
 public:
  Windows(Shape window, Shape stride) : window_(std::move(window)), stride_(std::move(stride)) {}
  std::string_view name() const override { return "windows"; }
  Kind kind() const override { return Kind::view; }
  void hash(Hasher& h) const override {
    h.add(window_);
    h.add(stride_);
  }
  std::string parameters() const override { return cat("window=", window_, ", stride=", stride_); }
  Arrays vjp(const VjpContext& v) const override {
    const Shape& in = v.inputs[0].shape();
    return {sum_windows(v.cotangents[0], Shape(in.begin() + 1, in.end() - 1), window_, stride_)};
  }
  std::optional<Arrays> jvp(Span, Span tangents, Span) const override {
    return Arrays{tangents[0] ? windows(tangents[0], window_, stride_) : Array()};
  }
  Batched batch(Span inputs, std::span<const bool>, int64_t size) const override {
    return {{split_front(windows(merge_front(inputs[0]), window_, stride_), size)}, {true}};
  }
  bool view(const Shape& in, const Strides& strides, int64_t offset, const Shape&, Strides& out_strides,
            int64_t& out_offset) const override {
    size_t spatial = window_.size();
    out_offset = offset;
    out_strides = {strides[0]};
    for (size_t d = 0; d < spatial; ++d) out_strides.push_back(strides[d + 1] * stride_[d]);
    for (size_t d = 0; d < spatial; ++d) out_strides.push_back(strides[d + 1]);
    out_strides.push_back(strides[in.size() - 1]);
    return true;
  }

 private:
  Shape window_, stride_;
};

}  // namespace

Array windows(const Array& x, const Shape& window, const Shape& stride) {
  size_t spatial = window.size();
  if (x.ndim() != spatial + 2 || stride.size() != spatial)
    throw ValueError(cat("windows: expected an array (N, spatial..., C) with ", spatial, " spatial axes, got shape ",
                         x.shape(), " and strides ", stride));
  Shape shape{x.dim(0)};
  for (size_t d = 0; d < spatial; ++d) {
    int64_t length = x.shape()[d + 1];
    if (window[d] < 1 || stride[d] < 1 || window[d] > length)
      throw ValueError(cat("windows: a window of length ", window[d], " with stride ", stride[d],
                           " does not go over axis ", d + 1, " of an array of shape ", x.shape()));
    shape.push_back((length - window[d]) / stride[d] + 1);
  }
  // Where there is one window only, the next is nowhere.
  Shape steps = stride;
  for (size_t d = 0; d < spatial; ++d)
    if (shape[d + 1] == 1) steps[d] = 1;
  for (int64_t d : window) shape.push_back(d);
  shape.push_back(x.dim(-1));
  return make_node(Ref<const Primitive>(new Windows(window, std::move(steps))), Span(&x, 1), std::move(shape),
                   x.dtype());
}

Array sum_windows(const Array& x, const Shape& spatial, const Shape& window, const Shape& stride) {
  Shape shape{x.dim(0)};
  for (int64_t d : spatial) shape.push_back(d);
  shape.push_back(x.dim(-1));
  if (x.size() == 0) return full(shape, constant(0, x.dtype()));
  return make_node(Ref<const Primitive>(new SumWindows(spatial, window, stride)), Span(&x, 1), std::move(shape),
                   x.dtype());
}

void SumWindows::hash(Hasher& h) const {
  h.add(spatial_);
  h.add(window_);
  h.add(stride_);
}
std::string SumWindows::parameters() const { return cat("window=", window_, ", stride=", stride_); }

Arrays SumWindows::vjp(const VjpContext& v) const { return {windows(v.cotangents[0], window_, stride_)}; }

std::optional<Arrays> SumWindows::jvp(Span, Span tangents, Span) const {
  return Arrays{tangents[0] ? sum_windows(tangents[0], spatial_, window_, stride_) : Array()};
}

Batched SumWindows::batch(Span inputs, std::span<const bool>, int64_t size) const {
  return {{split_front(sum_windows(merge_front(inputs[0]), spatial_, window_, stride_), size)}, {true}};
}

}  // namespace funcnn
