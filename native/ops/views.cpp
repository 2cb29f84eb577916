#include "ops/views.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/saturating.h"
#include "graph/primitive.h"
#include "ops/pad.h"
#include "ops/rules.h"

namespace funcnn {
namespace {

Shape with_front(int64_t value, const Shape& shape) {
  Shape out{value};
  for (int64_t d : shape) out.push_back(d);
  return out;
}

// Views are linear: tangents pass through the view itself. Each class gives `apply`, the public function with its
// parameters.
template <class Self>
class ViewPrimitive : public Primitive {
 public:
  Kind kind() const override { return Kind::view; }
  std::optional<Arrays> jvp(Span, Span tangents, Span) const override {
    return Arrays{tangents[0] ? static_cast<const Self*>(this)->apply(tangents[0]) : Array()};
  }
};

class Reshape final : public ViewPrimitive<Reshape> {
 public:
  explicit Reshape(Shape shape) : shape_(std::move(shape)) {}
  std::string_view name() const override { return "reshape"; }
  std::string parameters() const override { return cat("shape=", shape_); }
  Array apply(const Array& x) const { return reshape(x, shape_); }
  Arrays vjp(const VjpContext& v) const override { return {reshape(v.cotangents[0], v.inputs[0].shape())}; }
  Batched batch(Span inputs, std::span<const bool>, int64_t size) const override {
    return {{reshape(inputs[0], with_front(size, shape_))}, {true}};
  }
  bool view(const Shape& in, const Strides& strides, int64_t offset, const Shape& out, Strides& out_strides,
            int64_t& out_offset) const override {
    out_offset = offset;
    return reshape_strides(in, strides, out, out_strides);
  }

 private:
  Shape shape_;
};

class Broadcast final : public ViewPrimitive<Broadcast> {
 public:
  explicit Broadcast(Shape shape) : shape_(std::move(shape)) {}
  std::string_view name() const override { return "broadcast_to"; }
  std::string parameters() const override { return cat("shape=", shape_); }
  Array apply(const Array& x) const { return broadcast_to(x, shape_); }
  Arrays vjp(const VjpContext& v) const override { return {sum_to(v.cotangents[0], v.inputs[0].shape())}; }
  Batched batch(Span inputs, std::span<const bool>, int64_t size) const override {
    const Shape& in = inputs[0].shape();
    Shape aligned{size};
    for (size_t i = in.size() - 1; i < shape_.size(); ++i) aligned.push_back(1);
    for (size_t i = 1; i < in.size(); ++i) aligned.push_back(in[i]);
    return {{broadcast_to(reshape(inputs[0], aligned), with_front(size, shape_))}, {true}};
  }
  bool view(const Shape& in, const Strides& strides, int64_t offset, const Shape& out, Strides& out_strides,
            int64_t& out_offset) const override {
    out_offset = offset;
    out_strides = Strides(out.size(), 0);
    size_t lead = out.size() - in.size();
    for (size_t i = 0; i < in.size(); ++i) out_strides[lead + i] = in[i] == 1 ? 0 : strides[i];
    return true;
  }

 private:
  Shape shape_;
};

class Transpose final : public ViewPrimitive<Transpose> {
 public:
  explicit Transpose(Shape axes) : axes_(std::move(axes)) {}
  std::string_view name() const override { return "transpose"; }
  std::string parameters() const override { return cat("axes=", axes_); }
  void hash(Hasher& h) const override { h.add(axes_); }
  Array apply(const Array& x) const { return transpose(x, axes_); }
  Arrays vjp(const VjpContext& v) const override {
    Shape inverse(axes_.size());
    for (size_t i = 0; i < axes_.size(); ++i) inverse[size_t(axes_[i])] = int64_t(i);
    return {transpose(v.cotangents[0], inverse)};
  }
  Batched batch(Span inputs, std::span<const bool>, int64_t) const override {
    Shape axes{0};
    for (int64_t a : axes_) axes.push_back(a + 1);
    return {{transpose(inputs[0], axes)}, {true}};
  }
  bool view(const Shape&, const Strides& strides, int64_t offset, const Shape&, Strides& out_strides,
            int64_t& out_offset) const override {
    out_offset = offset;
    out_strides = Strides(axes_.size());
    for (size_t i = 0; i < axes_.size(); ++i) out_strides[i] = strides[size_t(axes_[i])];
    return true;
  }

 private:
  Shape axes_;
};

class Slice final : public ViewPrimitive<Slice> {
 public:
  Slice(Shape start, Shape step, Shape length)
      : start_(std::move(start)), step_(std::move(step)), length_(std::move(length)) {}
  std::string_view name() const override { return "slice"; }
  std::string parameters() const override { return cat("start=", start_, ", stop=", stop(), ", step=", step_); }
  void hash(Hasher& h) const override {
    h.add(start_);
    h.add(step_);
  }
  Array apply(const Array& x) const { return slice(x, start_, stop(), step_); }
  Arrays vjp(const VjpContext& v) const override {
    const Shape& in = v.inputs[0].shape();
    Shape low, high, interior;
    Shape reversed;
    for (size_t i = 0; i < in.size(); ++i) {
      int64_t n = length_[i], step = std::abs(step_[i]);
      int64_t first = step_[i] > 0 ? start_[i] : start_[i] - (n - 1) * step;
      if (n == 0) first = in[i];
      if (step_[i] < 0) reversed.push_back(int64_t(i));
      low.push_back(first);
      high.push_back(n == 0 ? 0 : in[i] - (first + (n - 1) * step + 1));
      interior.push_back(step - 1);
    }
    Array ct = v.cotangents[0];
    if (!reversed.empty()) ct = flip(ct, reversed);
    return {pad(ct, low, high, interior, constant(0, ct.dtype()))};
  }
  Batched batch(Span inputs, std::span<const bool>, int64_t size) const override {
    return {{slice(inputs[0], with_front(0, start_), with_front(size, stop()), with_front(1, step_))}, {true}};
  }
  bool view(const Shape&, const Strides& strides, int64_t offset, const Shape& out, Strides& out_strides,
            int64_t& out_offset) const override {
    out_offset = offset;
    out_strides = Strides(start_.size());
    bool empty = element_count(out) == 0;
    for (size_t i = 0; i < start_.size(); ++i) {
      if (!empty) out_offset += start_[i] * strides[i];
      out_strides[i] = strides[i] * step_[i];
    }
    return true;
  }

 private:
  Shape stop() const {
    Shape out;
    for (size_t i = 0; i < start_.size(); ++i) {
      int64_t past = start_[i] + length_[i] * step_[i];
      out.push_back(std::max<int64_t>(past, -1));
    }
    return out;
  }

  Shape start_, step_, length_;
};

}  // namespace

Array reshape(const Array& x, Shape shape) {
  if (shape == x.shape()) return x;
  int64_t known = 1, *inferred = nullptr;
  for (int64_t& d : shape) {
    if (d == -1) {
      if (inferred) throw ValueError(cat("reshape: only one axis may be -1, got ", shape));
      inferred = &d;
    } else if (d < 0) {
      throw ValueError(cat("reshape: negative length in the shape ", shape, "; only -1, once, is allowed"));
    } else {
      known = saturating_multiply(known, d);
    }
  }
  int64_t size = x.size();
  if (inferred) {
    if (known == 0 || size % known != 0)
      throw ValueError(cat("reshape: cannot reshape an array of shape ", x.shape(), " (", size, " elements) to ", shape,
                           "; ",
                           known == 0 ? "the axis that is -1 is not determined" : "the other axes do not divide it"));
    *inferred = size / known;
    if (shape == x.shape()) return x;
  } else if (known != size) {
    throw ValueError(cat("reshape: cannot reshape an array of shape ", x.shape(), " (", size, " elements) to ", shape,
                         " (", known, " elements); the counts must agree"));
  }
  return make_node(Ref<const Primitive>(new Reshape(shape)), Span(&x, 1), shape, x.dtype());
}

Array broadcast_to(const Array& x, const Shape& shape) {
  const Shape& in = x.shape();
  if (in == shape) return x;
  bool fits = in.size() <= shape.size();
  for (size_t i = 0; fits && i < in.size(); ++i) {
    int64_t want = shape[shape.size() - in.size() + i];
    fits = want >= 0 && (in[i] == want || in[i] == 1);
  }
  for (int64_t d : shape) fits = fits && d >= 0;
  if (!fits)
    throw ValueError(cat("broadcast_to: cannot broadcast an array of shape ", in, " to ", shape,
                         "; trailing axes must be equal or have length 1"));
  return make_node(Ref<const Primitive>(new Broadcast(shape)), Span(&x, 1), shape, x.dtype());
}

Arrays broadcast_arrays(Span arrays) {
  Shape shape;
  for (const Array& x : arrays) shape = broadcast_shapes("broadcast_arrays", shape, x.shape());
  Arrays out;
  for (const Array& x : arrays) out.push_back(broadcast_to(x, shape));
  return out;
}

Array transpose(const Array& x, std::span<const int64_t> axes) {
  size_t rank = x.ndim();
  Shape order, shape;
  if (axes.empty() && rank > 0) {
    for (size_t i = rank; i-- > 0;) order.push_back(int64_t(i));
  } else {
    if (axes.size() != rank)
      throw ValueError(
          cat("transpose: expected ", rank, " axes for an array of shape ", x.shape(), ", got ", axes.size()));
    Shape seen(rank, 0);
    for (int64_t a : axes) {
      int axis = normalize_axis("transpose", a, rank);
      if (seen[size_t(axis)]++) throw ValueError(cat("transpose: axis ", axis, " is named twice"));
      order.push_back(axis);
    }
  }
  bool identity = true;
  for (size_t i = 0; i < rank; ++i) {
    identity = identity && order[i] == int64_t(i);
    shape.push_back(x.shape()[size_t(order[i])]);
  }
  if (identity) return x;
  return make_node(Ref<const Primitive>(new Transpose(std::move(order))), Span(&x, 1), std::move(shape), x.dtype());
}

Array swapaxes(const Array& x, int64_t a, int64_t b) {
  int first = normalize_axis("swapaxes", a, x.ndim()), second = normalize_axis("swapaxes", b, x.ndim());
  Shape order(x.ndim());
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[size_t(first)], order[size_t(second)]);
  return transpose(x, order);
}

Array moveaxis(const Array& x, int64_t from, int64_t to) {
  int source = normalize_axis("moveaxis", from, x.ndim()), target = normalize_axis("moveaxis", to, x.ndim());
  Shape order;
  for (int i = 0; i < int(x.ndim()); ++i)
    if (i != source) order.push_back(i);
  order.insert(order.begin() + target, source);
  return transpose(x, order);
}

Array expand_dims(const Array& x, std::span<const int64_t> axes) {
  Axes at = normalize_axes("expand_dims", axes, x.ndim() + axes.size());
  Shape shape = x.shape();
  for (int axis : at) shape.insert(shape.begin() + axis, 1);
  return reshape(x, std::move(shape));
}

Array squeeze(const Array& x, std::span<const int64_t> axes) {
  Shape shape;
  if (axes.empty()) {
    for (int64_t d : x.shape())
      if (d != 1) shape.push_back(d);
    return reshape(x, std::move(shape));
  }
  Axes at = normalize_axes("squeeze", axes, x.ndim());
  for (int i = 0; i < int(x.ndim()); ++i) {
    if (std::find(at.begin(), at.end(), i) == at.end()) {
      shape.push_back(x.shape()[size_t(i)]);
    } else if (x.shape()[size_t(i)] != 1) {
      throw ValueError(cat("squeeze: axis ", i, " of an array of shape ", x.shape(), " has length ",
                           x.shape()[size_t(i)], ", not 1"));
    }
  }
  return reshape(x, std::move(shape));
}

Array flatten(const Array& x, int64_t start, int64_t end) {
  if (x.ndim() == 0) return reshape(x, {1});
  int first = normalize_axis("flatten", start, x.ndim()), last = normalize_axis("flatten", end, x.ndim());
  if (first > last)
    throw ValueError(
        cat("flatten: the start axis ", start, " comes after the end axis ", end, " in an array of shape ", x.shape()));
  Shape shape(x.shape().begin(), x.shape().begin() + first);
  int64_t merged = 1;
  for (int i = first; i <= last; ++i) merged *= x.shape()[size_t(i)];
  shape.push_back(merged);
  for (int i = last + 1; i < int(x.ndim()); ++i) shape.push_back(x.shape()[size_t(i)]);
  return reshape(x, std::move(shape));
}

Array unflatten(const Array& x, int64_t axis, const Shape& shape) {
  int at = normalize_axis("unflatten", axis, x.ndim());
  Shape parts = shape;
  int64_t known = 1;
  for (int64_t d : parts)
    if (d != -1) known *= d;
  for (int64_t& d : parts)
    if (d == -1 && known > 0) d = x.shape()[size_t(at)] / known;
  if (element_count(parts) != x.shape()[size_t(at)])
    throw ValueError(
        cat("unflatten: axis ", axis, " of length ", x.shape()[size_t(at)], " cannot be split into ", shape));
  Shape out(x.shape().begin(), x.shape().begin() + at);
  for (int64_t d : parts) out.push_back(d);
  for (size_t i = size_t(at) + 1; i < x.ndim(); ++i) out.push_back(x.shape()[i]);
  return reshape(x, std::move(out));
}

Array slice(const Array& x, std::span<const int64_t> start, std::span<const int64_t> stop,
            std::span<const int64_t> step) {
  size_t rank = x.ndim();
  if (start.size() != rank || stop.size() != rank || step.size() != rank)
    throw ValueError(cat("slice: expected bounds for each of the ", rank, " axes of an array of shape ", x.shape(),
                         ", got ", start.size(), ", ", stop.size(), " and ", step.size()));
  Shape first(rank), by(rank), length(rank);
  bool identity = true;
  for (size_t i = 0; i < rank; ++i) {
    int64_t n = x.shape()[i];
    by[i] = step[i];
    if (step[i] > 0) {
      first[i] = std::clamp<int64_t>(start[i], 0, n);
      int64_t end = std::clamp<int64_t>(stop[i], 0, n);
      length[i] = end > first[i] ? (end - first[i] - 1) / step[i] + 1 : 0;
    } else if (step[i] < 0) {
      first[i] = std::clamp<int64_t>(start[i], -1, n - 1);
      int64_t end = std::clamp<int64_t>(stop[i], -1, n - 1);
      length[i] = first[i] > end ? (first[i] - end - 1) / -step[i] + 1 : 0;
    } else {
      throw ValueError("slice: the step must not be zero");
    }
    if (length[i] <= 1) by[i] = 1;
    if (length[i] == 0) first[i] = 0;
    identity = identity && length[i] == n && by[i] == 1;
  }
  if (identity) return x;
  Shape shape = length;
  return make_node(Ref<const Primitive>(new Slice(std::move(first), std::move(by), std::move(length))), Span(&x, 1),
                   std::move(shape), x.dtype());
}

Array slice_axis(const Array& x, int axis, int64_t start, int64_t stop) {
  Shape from(x.ndim(), 0), to = x.shape(), by(x.ndim(), 1);
  from[size_t(axis)] = start;
  to[size_t(axis)] = stop;
  return slice(x, from, to, by);
}

Array flip(const Array& x, std::span<const int64_t> axes) {
  Shape start(x.ndim(), 0), stop = x.shape(), step(x.ndim(), 1);
  for (int axis : normalize_axes("flip", axes, x.ndim())) {
    size_t i = size_t(axis);
    start[i] = x.shape()[i] - 1;
    stop[i] = -1;
    step[i] = -1;
  }
  return slice(x, start, stop, step);
}

}  // namespace funcnn
