#include "ops/windows.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "ops/elementwise.h"
#include "ops/pad.h"
#include "ops/reduce.h"
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
  bool view(const Shape& in, const Strides& strides, int64_t offset, const Shape& out, Strides& out_strides,
            int64_t& out_offset) const override {
    size_t spatial = window_.size();
    out_offset = offset;
    out_strides = {strides[0]};
    // Where there is one window only, the next is nowhere.
    for (size_t d = 0; d < spatial; ++d) out_strides.push_back(strides[d + 1] * (out[d + 1] == 1 ? 1 : stride_[d]));
    for (size_t d = 0; d < spatial; ++d) out_strides.push_back(strides[d + 1]);
    out_strides.push_back(strides[in.size() - 1]);
    return true;
  }

 private:
  Shape window_, stride_;
};

constexpr int64_t kFewTaps = 16;

// A window seen tap by tap: what is combined are slices of the input, whose channels lie side by side, so that loops go
// along them and not over the few elements of a window.
struct Taps {
  const Shape &window, &stride;
  Shape counts;  // of windows

  // The elements at one place of each window.
  Array slice_at(const Array& x, const Shape& place) const {
    size_t spatial = window.size();
    Shape start(spatial + 2, 0), stop = x.shape(), step(spatial + 2, 1);
    for (size_t d = 0; d < spatial; ++d) {
      start[d + 1] = place[d];
      stop[d + 1] = place[d] + (counts[d] - 1) * stride[d] + 1;
      step[d + 1] = stride[d];
    }
    return slice(x, start, stop, step);
  }

  // f(slice) of each place combined, the last axis fastest.
  template <class F, class G>
  Array combine(const Array& x, F&& f, G&& g) const {
    Array out;
    Shape place(window.size(), 0);
    for (int64_t i = 0; i < element_count(window); ++i) {
      int64_t rest = i;
      for (size_t d = window.size(); d-- > 0; rest /= window[d]) place[d] = rest % window[d];
      Array part = f(slice_at(x, place), place);
      out = out ? g(out, part) : part;
    }
    return out;
  }
};

Dtype wide_dtype(ReduceOp op, Dtype dtype) { return op == ReduceOp::sum && is_half(dtype) ? Dtype::float32 : dtype; }

// Without a rule of its own.
Array reduced(ReduceOp op, const Array& x, const Shape& window, const Shape& stride) {
  size_t spatial = window.size();
  Dtype dtype = wide_dtype(op, x.dtype());
  auto count = [&](size_t d) { return (x.shape()[d + 1] - window[d]) / stride[d] + 1; };
  auto both = [&](const Array& a, const Array& b) { return op == ReduceOp::max ? maximum(a, b) : add(a, b); };
  if (element_count(window) <= kFewTaps) {
    Taps taps{window, stride, {}};
    for (size_t d = 0; d < spatial; ++d) taps.counts.push_back(count(d));
    return taps.combine(x, [&](const Array& part, const Shape&) { return astype(part, dtype); }, both);
  }
  // One axis at a time; a long one through the view.
  Array out = astype(x, dtype);
  for (size_t d = spatial; d-- > 0;) {
    if (window[d] == 1 && stride[d] == 1) continue;
    Shape one(spatial, 1), step(spatial, 1);
    one[d] = window[d];
    step[d] = stride[d];
    if (window[d] <= kFewTaps) {
      out = reduced(op, out, one, step);
      continue;
    }
    const int axis[] = {int(spatial + 1 + d)};
    Array seen = reduce(op, windows(out, one, step), axis, false);
    Shape shape = out.shape();
    shape[d + 1] = count(d);
    out = reshape(seen, std::move(shape));
  }
  return out;
}

// Inputs: x, and its windows reduced, which this stands for.
class ReduceWindows final : public Primitive {
 public:
  ReduceWindows(ReduceOp op, Shape window, Shape stride)
      : op_(op), window_(std::move(window)), stride_(std::move(stride)) {}
  std::string_view name() const override { return op_ == ReduceOp::max ? "max_windows" : "add_windows"; }
  Kind kind() const override { return Kind::alias; }
  int alias_of(int) const override { return 1; }
  int derivative_inputs() const override { return 1; }
  void hash(Hasher& h) const override {
    h.add(window_);
    h.add(stride_);
  }
  std::string parameters() const override { return cat("window=", window_, ", stride=", stride_); }

  Arrays vjp(const VjpContext& v) const override {
    const Array &x = v.inputs[0], &out = v.outputs[0], &ct = v.cotangents[0];
    Array share = op_ == ReduceOp::max ? shares(x, out, ct) : ct;
    return {spread(x, op_ == ReduceOp::max ? out : Array(), astype(share, x.dtype())), Array()};
  }

  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override {
    const Array &x = inputs[0], &t = tangents[0], &out = outputs[0];
    if (!t) return Arrays{Array()};
    if (op_ == ReduceOp::sum) return Arrays{reduce_windows(op_, t, window_, stride_)};
    Array zero = constant(0, x.dtype());
    Array moved = sum_where_largest(x, out, [&](const Array& hit, auto&& part) { return where(hit, part(t), zero); });
    return Arrays{shares(x, out, moved)};
  }

  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override {
    const Array& x = inputs[0];
    if (!batched[0]) return {{reduce_windows(op_, x, window_, stride_)}, {false}};
    return {{split_front(reduce_windows(op_, merge_front(x), window_, stride_), size)}, {true}};
  }

 private:
  Taps taps_of(const Array& x) const {
    Taps taps{window_, stride_, {}};
    for (size_t d = 0; d < window_.size(); ++d) taps.counts.push_back((x.shape()[d + 1] - window_[d]) / stride_[d] + 1);
    return taps;
  }

  // The sum over each window of f(whether an element is the largest, a function that takes the same of another array).
  template <class F>
  Array sum_where_largest(const Array& x, const Array& out, F&& f) const {
    size_t spatial = window_.size();
    if (element_count(window_) <= kFewTaps) {
      Taps taps = taps_of(x);
      return taps.combine(
          x,
          [&](const Array& part, const Shape& place) {
            return f(equal(part, out), [&](const Array& other) { return taps.slice_at(other, place); });
          },
          [](const Array& a, const Array& b) { return add(a, b); });
    }
    Shape seen(out.shape().begin(), out.shape().end() - 1);
    Axes axes;
    for (size_t d = 0; d < spatial; ++d) {
      seen.push_back(1);
      axes.push_back(int(spatial + 1 + d));
    }
    seen.push_back(out.dim(-1));
    Array hit = equal(windows(x, window_, stride_), reshape(out, seen));
    return reduce(ReduceOp::sum, f(hit, [&](const Array& other) { return windows(other, window_, stride_); }), axes,
                  false);
  }

  // What each of the largest elements of a window gets of `value`. Nothing equals NaN, which has no derivative.
  Array shares(const Array& x, const Array& out, const Array& value) const {
    Array ties = sum_where_largest(x, out, [&](const Array& hit, auto&&) { return astype(hit, x.dtype()); });
    return where(unary(Opcode::isnan, out), constant(std::numeric_limits<double>::quiet_NaN(), x.dtype()),
                 divide(value, ties));
  }

  // `share` of each window at those of its elements that are not less than `out` (null: at all), added up in the shape
  // of x.
  Array spread(const Array& x, const Array& out, const Array& share) const {
    size_t spatial = window_.size();
    Taps taps = taps_of(x);
    bool side_by_side = true;
    for (size_t d = 0; d < spatial; ++d) side_by_side &= window_[d] == stride_[d] || taps.counts[d] == 1;
    // The axes of windows beside those inside a window: one after the other where each axis is split in two, which
    // costs no move; else all windows first.
    Shape seen{x.dim(0)}, flat{x.dim(0)}, low(spatial + 2, 0), high(spatial + 2, 0), start(spatial + 2, 0),
        stop = x.shape(), step(spatial + 2, 1);
    for (size_t d = 0; d < spatial; ++d) {
      seen.push_back(taps.counts[d]);
      if (side_by_side) seen.push_back(1);
    }
    for (size_t d = 0; !side_by_side && d < spatial; ++d) seen.push_back(1);
    seen.push_back(x.dim(-1));
    Shape whole = seen;
    for (size_t d = 0; d < spatial; ++d) {
      whole[side_by_side ? 2 * d + 2 : spatial + 1 + d] = window_[d];
      stop[d + 1] = taps.counts[d] * window_[d];
      high[d + 1] = x.shape()[d + 1] - stop[d + 1];
      flat.push_back(stop[d + 1]);
    }
    flat.push_back(x.dim(-1));
    Array each = broadcast_to(reshape(share, seen), whole);
    if (out) {
      Array elements = side_by_side ? reshape(slice(x, start, stop, step), whole) : windows(x, window_, stride_);
      each = where(less(elements, reshape(out, seen)), constant(0, x.dtype()), each);
    }
    if (!side_by_side) return sum_windows(each, Shape(x.shape().begin() + 1, x.shape().end() - 1), window_, stride_);
    return pad(reshape(each, flat), low, high, Shape(spatial + 2, 0), constant(0, x.dtype()));
  }

  ReduceOp op_;
  Shape window_, stride_;
};

}  // namespace

Array reduce_windows(ReduceOp op, const Array& x, const Shape& window, const Shape& stride) {
  Array seen = windows(x, window, stride);  // which checks
  size_t spatial = window.size();
  Shape shape(seen.shape().begin(), seen.shape().begin() + ptrdiff_t(spatial) + 1);
  shape.push_back(x.dim(-1));
  Dtype dtype = wide_dtype(op, x.dtype());
  if (element_count(shape) == 0) return full(shape, constant(0, dtype));
  const Array inputs[] = {x, reduced(op, x, window, stride)};
  return make_node(Ref<const Primitive>(new ReduceWindows(op, window, stride)), inputs, std::move(shape), dtype);
}

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
  for (int64_t d : window) shape.push_back(d);
  shape.push_back(x.dim(-1));
  return make_node(Ref<const Primitive>(new Windows(window, stride)), Span(&x, 1), std::move(shape), x.dtype());
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
