#include "ops/conv.h"

#include <algorithm>

#include "base/error.h"
#include "ops/elementwise.h"
#include "ops/rules.h"
#include "ops/views.h"

namespace funcnn {
namespace {

// x with its last axis split into `count` parts, or with the first axis of a weight split so.
Array split_last(const Array& x, int64_t count) {
  Shape shape = x.shape();
  shape.back() /= count;
  shape.insert(shape.end() - 1, count);
  return reshape(x, std::move(shape));
}
Array merge_last(const Array& x) {
  Shape shape(x.shape().begin(), x.shape().end() - 1);
  shape.back() *= x.dim(-1);
  return reshape(x, std::move(shape));
}
Array split_axis(const Array& x, size_t axis, int64_t count) {
  Shape shape = x.shape();
  shape[axis] /= count;
  shape.insert(shape.begin() + ptrdiff_t(axis), count);
  return reshape(x, std::move(shape));
}
// Axes `axis` and the next as one.
Array merge_axis(const Array& x, size_t axis) {
  Shape shape = x.shape();
  shape[axis] *= shape[axis + 1];
  shape.erase(shape.begin() + ptrdiff_t(axis) + 1);
  return reshape(x, std::move(shape));
}

// The batch axis in front becomes part of the channels: before them, so that examples are groups, or inside each of
// `groups` groups of channels, so that all examples share what the other operand has.
Array batch_before_channels(const Array& x) { return merge_last(moveaxis(x, 0, -2)); }
Array batch_inside_groups(const Array& x, int64_t groups) {
  return merge_axis(merge_last(moveaxis(split_last(x, groups), 0, -2)), x.ndim() - 2);
}

// The weight by which the cotangent of the result is convolved for that of the input: (in, kernel..., out / groups).
Array exchanged_channels(const Array& weight, int64_t groups) {
  if (groups == 1) return swapaxes(weight, 0, -1);
  return merge_axis(swapaxes(split_axis(weight, 0, groups), 1, -1), 0);
}

// The gradient of `conv` by its input of shape `shape`.
Array input_gradient(const Array& cotangent, const Array& weight, const ConvGeometry& g, const Shape& shape) {
  ConvGeometry back = g;
  back.stride = g.input_dilation;
  back.input_dilation = g.stride;
  back.flip = !g.flip;
  for (size_t d = 0; d < g.stride.size(); ++d) {
    int64_t extent = g.extent(d, weight.shape()[d + 1]), length = cotangent.shape()[d + 1];
    back.low[d] = extent - 1 - g.low[d];
    back.high[d] = (shape[d + 1] - 1) * g.input_dilation[d] + extent - ((length - 1) * g.stride[d] + 1) - back.low[d];
  }
  return conv(cotangent, exchanged_channels(weight, g.groups), back);
}

double taps(const Shape& kernel) {
  double n = 1;
  for (int64_t d : kernel) n *= double(d);
  return n;
}

}  // namespace

// ---- rules

void ConvPrimitive::hash(Hasher& h) const {
  for (const Shape* s : {&geometry_.stride, &geometry_.low, &geometry_.high, &geometry_.kernel_dilation,
                         &geometry_.input_dilation, &kernel_})
    h.add(*s);
  h.add(geometry_.groups);
  h.add(geometry_.flip);
}

std::string ConvPrimitive::parameters() const {
  auto other = [](const Shape& s, int64_t than) {
    return std::any_of(s.begin(), s.end(), [&](int64_t v) { return v != than; });
  };
  std::string out;
  auto say = [&](auto&&... text) { out += cat(out.empty() ? "" : ", ", text...); };
  if (other(geometry_.stride, 1)) say("stride=", geometry_.stride);
  if (other(geometry_.low, 0) || other(geometry_.high, 0)) say("padding=", geometry_.low, " ", geometry_.high);
  if (other(geometry_.kernel_dilation, 1)) say("kernel_dilation=", geometry_.kernel_dilation);
  if (other(geometry_.input_dilation, 1)) say("input_dilation=", geometry_.input_dilation);
  if (geometry_.groups != 1) say("groups=", geometry_.groups);
  if (geometry_.flip) say("flip=True");
  return out;
}

double Conv::flops(const Shape& x, const Shape& out) const {
  return 2.0 * double(element_count(out)) * taps(kernel_) * double(x.back()) / double(geometry_.groups);
}

Arrays Conv::vjp(const VjpContext& v) const {
  const Array &x = v.inputs[0], &weight = v.inputs[1], &ct = v.cotangents[0];
  return {v.needed[0] ? input_gradient(ct, weight, geometry_, x.shape()) : Array(),
          v.needed[1] ? conv_weight_gradient(x, ct, geometry_, kernel_) : Array()};
}

std::optional<Arrays> Conv::jvp(Span inputs, Span tangents, Span) const {
  return Arrays{add_or_null(tangents[0] ? conv(tangents[0], inputs[1], geometry_) : Array(),
                            tangents[1] ? conv(inputs[0], tangents[1], geometry_) : Array())};
}

Batched Conv::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  const Array &x = inputs[0], &weight = inputs[1];
  int64_t groups = geometry_.groups;
  if (!batched[1]) return {{split_axis(conv(merge_axis(x, 0), weight, geometry_), 0, size)}, {true}};
  if (!batched[0]) {
    // The weights of all examples as further channels of the result, group by group.
    Array all = merge_axis(merge_axis(moveaxis(split_axis(weight, 1, groups), 0, 1), 0), 0);
    Array out = split_last(split_last(conv(x, all, geometry_), groups), size);
    return {{merge_last(moveaxis(out, -2, 0))}, {true}};
  }
  ConvGeometry wide = geometry_;
  wide.groups *= size;
  Array out = conv(batch_before_channels(x), merge_axis(weight, 0), wide);
  return {{moveaxis(split_last(out, size), -2, 0)}, {true}};
}

double ConvWeightGradient::flops(const Shape& x, const Shape& out) const {
  double positions = double(x[0]);
  for (size_t d = 0; d < kernel_.size(); ++d) positions *= double(geometry_.output(d, x[d + 1], kernel_[d]));
  return 2.0 * positions * double(element_count(out));
}

Arrays ConvWeightGradient::vjp(const VjpContext& v) const {
  const Array &x = v.inputs[0], &cotangent = v.inputs[1], &ct = v.cotangents[0];
  return {v.needed[0] ? input_gradient(cotangent, ct, geometry_, x.shape()) : Array(),
          v.needed[1] ? conv(x, ct, geometry_) : Array()};
}

std::optional<Arrays> ConvWeightGradient::jvp(Span inputs, Span tangents, Span) const {
  auto gradient = [&](const Array& x, const Array& ct) { return conv_weight_gradient(x, ct, geometry_, kernel_); };
  return Arrays{add_or_null(tangents[0] ? gradient(tangents[0], inputs[1]) : Array(),
                            tangents[1] ? gradient(inputs[0], tangents[1]) : Array())};
}

Batched ConvWeightGradient::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  const Array &x = inputs[0], &ct = inputs[1];
  int64_t groups = geometry_.groups;
  if (!batched[1]) {
    Array out = conv_weight_gradient(batch_inside_groups(x, groups), ct, geometry_, kernel_);
    return {{moveaxis(split_last(out, size), -2, 0)}, {true}};
  }
  if (!batched[0]) {
    Array out = conv_weight_gradient(x, batch_inside_groups(ct, groups), geometry_, kernel_);
    return {{merge_axis(moveaxis(split_axis(split_axis(out, 0, groups), 1, size), 1, 0), 1)}, {true}};
  }
  ConvGeometry wide = geometry_;
  wide.groups *= size;
  Array out = conv_weight_gradient(batch_before_channels(x), batch_before_channels(ct), wide, kernel_);
  return {{split_axis(out, 0, size)}, {true}};
}

// ---- the primitives

Array conv(const Array& x, const Array& weight, const ConvGeometry& geometry) {
  size_t spatial = x.ndim() - 2;
  Shape shape{x.dim(0)}, kernel;
  for (size_t d = 0; d < spatial; ++d) {
    kernel.push_back(weight.shape()[d + 1]);
    shape.push_back(geometry.output(d, x.shape()[d + 1], kernel[d]));
  }
  shape.push_back(weight.dim(0));
  if (x.size() == 0 || weight.size() == 0 || element_count(shape) == 0) return full(shape, constant(0, x.dtype()));
  const Array inputs[] = {x, weight};
  return make_node(Ref<const Primitive>(new Conv(geometry, std::move(kernel))), inputs, std::move(shape), x.dtype());
}

Array conv_weight_gradient(const Array& x, const Array& cotangent, const ConvGeometry& geometry, const Shape& kernel) {
  Shape shape{cotangent.dim(-1)};
  for (int64_t k : kernel) shape.push_back(k);
  shape.push_back(x.dim(-1) / geometry.groups);
  if (x.size() == 0 || cotangent.size() == 0 || element_count(shape) == 0) return full(shape, constant(0, x.dtype()));
  const Array inputs[] = {x, cotangent};
  return make_node(Ref<const Primitive>(new ConvWeightGradient(geometry, kernel)), inputs, std::move(shape), x.dtype());
}

// ---- public functions

namespace {

constexpr int64_t kLongest = int64_t(1) << 31;  // of strides and the like, so that sums of products fit

Shape for_each_axis(const char* op, const char* what, const Shape& given, size_t spatial, int64_t least) {
  Shape out = given;
  if (given.size() == 1) out = Shape(spatial, given[0]);
  if (out.size() != spatial)
    throw ValueError(cat(op, ": expected ", what, " for ", spatial, " spatial ", spatial == 1 ? "axis" : "axes",
                         ", got ", given.size(), " numbers"));
  for (int64_t v : out)
    if (v < least || v >= kLongest)
      throw ValueError(cat(op, ": ", what, " must be ", v < least ? "at least " : "below ",
                           v < least ? least : kLongest, ", got ", v));
  return out;
}

// Both operands in the dtype of the result.
std::pair<Array, Array> promoted(const char* op, const Array& a, const Array& b, const char* names) {
  Dtype dtype = promote_types(a.dtype(), b.dtype());
  if (!is_inexact(dtype) || is_complex(dtype))
    throw ValueError(cat(op, ": is defined for floating-point arrays, got ", names, " of dtypes ", a.dtype(), " and ",
                         b.dtype(), "; convert with astype"));
  return {astype(a, dtype), astype(b, dtype)};
}

// The number of spatial axes.
size_t check_shapes(const char* op, size_t spatial, const Array& x, const Array& weight, int64_t groups) {
  auto shapes = [&] { return cat("; shapes ", x.shape(), " and ", weight.shape()); };
  bool fits = spatial ? x.ndim() == spatial + 2 : x.ndim() >= 3 && x.ndim() <= 5;
  if (!fits || weight.ndim() != x.ndim())
    throw ValueError(cat(op, ": expected an input (N, spatial..., in) and a weight (out, kernel..., in / groups) with ",
                         spatial ? std::to_string(spatial) : "the same one to three", " spatial ",
                         spatial == 1 ? "axis" : "axes", shapes()));
  if (groups < 1) throw ValueError(cat(op, ": groups must be at least 1, got ", groups));
  if (x.dim(-1) % groups || weight.dim(0) % groups)
    throw ValueError(cat(op, ": ", groups, " groups do not divide the ", x.dim(-1), " channels of the input and the ",
                         weight.dim(0), " of the result", shapes()));
  if (weight.dim(-1) != x.dim(-1) / groups)
    throw ValueError(cat(op, ": the last axis of the weight (size ", weight.dim(-1),
                         ") must be the channels of the input over the groups (", x.dim(-1), " / ", groups, ")",
                         shapes()));
  for (size_t d = 1; d + 1 < weight.ndim(); ++d)
    if (weight.shape()[d] == 0) throw ValueError(cat(op, ": the kernel has an axis of length 0", shapes()));
  return x.ndim() - 2;
}

}  // namespace

Array conv_general(const char* op, size_t axes, const Array& input, const Array& kernel, ConvGeometry g, bool same) {
  auto [x, weight] = promoted(op, input, kernel, "input and weight");
  size_t spatial = check_shapes(op, axes, x, weight, g.groups);
  g.stride = for_each_axis(op, "stride", g.stride, spatial, 1);
  g.low = for_each_axis(op, "padding", g.low, spatial, -kLongest);
  g.high = for_each_axis(op, "padding", g.high, spatial, -kLongest);
  g.kernel_dilation = for_each_axis(op, "the dilation of the kernel", g.kernel_dilation, spatial, 1);
  g.input_dilation = for_each_axis(op, "the dilation of the input", g.input_dilation, spatial, 1);
  double elements = double(x.dim(0)) * double(weight.dim(0));
  for (size_t d = 0; d < spatial; ++d) {
    int64_t length = x.shape()[d + 1], k = weight.shape()[d + 1];
    if (same) {
      g.low[d] = g.high[d] = 0;
      int64_t there = g.padded(d, length), outputs = (there + g.stride[d] - 1) / g.stride[d];
      int64_t zeros = std::max<int64_t>(0, (outputs - 1) * g.stride[d] + g.extent(d, k) - there);
      g.low[d] = zeros / 2;
      g.high[d] = zeros - g.low[d];
    }
    if (g.padded(d, length) < g.extent(d, k) && !same)  // same: of nothing, nothing
      throw ValueError(cat(op, ": the kernel reaches over ", g.extent(d, k), " elements of axis ", d + 1,
                           ", which has ", g.padded(d, length), " once it is padded; shapes ", x.shape(), " and ",
                           weight.shape()));
    elements *= double(g.output(d, length, k));
  }
  if (elements > 0x1p48)
    throw ValueError(
        cat(op, ": the result would have ", elements, " elements; shapes ", x.shape(), " and ", weight.shape()));
  return conv(x, weight, g);
}

Array conv_transpose(const char* op, size_t axes, const Array& input, const Array& kernel, const Shape& stride,
                     const Shape& padding, const Shape& dilation, const Shape& output_padding, int64_t groups) {
  auto [x, weight] = promoted(op, input, kernel, "input and weight");
  size_t spatial = check_shapes(op, axes, x, weight, groups);
  ConvGeometry g;
  g.groups = groups;
  g.flip = true;
  g.stride = Shape(spatial, 1);
  g.input_dilation = for_each_axis(op, "stride", stride, spatial, 1);
  g.kernel_dilation = for_each_axis(op, "dilation", dilation, spatial, 1);
  Shape crop = for_each_axis(op, "padding", padding, spatial, -kLongest);
  Shape more = for_each_axis(op, "output_padding", output_padding, spatial, 0);
  for (size_t d = 0; d < spatial; ++d) {
    g.low.push_back(g.extent(d, weight.shape()[d + 1]) - 1 - crop[d]);
    g.high.push_back(g.low[d] + more[d]);
    if (g.low[d] >= kLongest || g.high[d] >= kLongest)
      throw ValueError(cat(op, ": the kernel reaches over ", g.extent(d, weight.shape()[d + 1]), " elements of axis ",
                           d + 1, ", which is too many"));
    if (g.output(d, x.shape()[d + 1], weight.shape()[d + 1]) == 0)
      throw ValueError(cat(op, ": nothing is left of axis ", d + 1, " of the result once padding ", crop[d],
                           " is cut off both ends; shapes ", x.shape(), " and ", weight.shape()));
  }
  return conv_general(op, spatial, x, weight, std::move(g));
}

Array convolve(const Array& first, const Array& second, std::string_view mode) {
  if (first.ndim() != 1 || second.ndim() != 1)
    throw ValueError(cat("convolve: expected two vectors, got shapes ", first.shape(), " and ", second.shape()));
  if (first.size() == 0 || second.size() == 0)
    throw ValueError(
        cat("convolve: the arrays must not be empty, got shapes ", first.shape(), " and ", second.shape()));
  auto [a, v] = promoted("convolve", first, second, "arrays");
  if (a.size() < v.size()) std::swap(a, v);
  int64_t low, high, n = v.size();
  if (mode == "full") {
    low = high = n - 1;
  } else if (mode == "same") {
    low = n / 2;
    high = (n - 1) / 2;
  } else if (mode == "valid") {
    low = high = 0;
  } else {
    throw ValueError(cat("convolve: mode must be \"full\", \"same\" or \"valid\", got \"", mode, "\""));
  }
  ConvGeometry g{{1}, {low}, {high}, {1}, {1}, 1, true};
  return reshape(conv_general("convolve", 1, reshape(a, {1, a.size(), 1}), reshape(v, {1, n, 1}), std::move(g)), {-1});
}

}  // namespace funcnn
