#include "ops/cumulative.h"

#include <limits>

#include "base/error.h"
#include "ops/annotate.h"
#include "ops/create.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "ops/pad.h"
#include "ops/rules.h"
#include "ops/views.h"

namespace funcnn {
namespace {

constexpr std::string_view names[] = {"cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"};

Array cumulative(CumulativeOp op, const Array& x, int axis, bool reverse) {
  if (x.ndim() == 0 || x.shape()[size_t(axis)] <= 1) return x;
  return make_node(Ref<const Primitive>(new Cumulative(op, axis, reverse)), Span(&x, 1), x.shape(), x.dtype());
}

// Everything one place later (earlier if `reverse`), `fill` where nothing comes from.
Array shift(const Array& x, int axis, bool reverse, const Array& fill) {
  int64_t length = x.shape()[size_t(axis)];
  if (length == 0) return x;
  Shape low(x.ndim(), 0), high(x.ndim(), 0);
  (reverse ? high : low)[size_t(axis)] = 1;
  return pad(reverse ? slice_axis(x, axis, 1, length) : slice_axis(x, axis, 0, length - 1), low, high,
             Shape(x.ndim(), 0), fill);
}

// The number of each element along the axis, in the shape of x.
Array numbers_along(const Array& x, int axis) {
  Shape shape(x.ndim(), 1);
  shape[size_t(axis)] = x.shape()[size_t(axis)];
  return broadcast_to(iota(shape, Dtype::int32), x.shape());
}

// Where the running maximum or minimum `out` of x comes from: of equal elements the latest.
Array sources(const Array& x, const Array& out, int axis, bool reverse) {
  Array number = numbers_along(x, axis);
  // A NaN stays: its first place is where its successors come from, but they all are NaN, so any will do.
  Array fresh = equal(x, out);
  Array none = constant(reverse ? int64_t(std::numeric_limits<int32_t>::max()) : int64_t(-1), Dtype::int32);
  Array from = cumulative(reverse ? CumulativeOp::min : CumulativeOp::max, where(fresh, number, none), axis, reverse);
  return where(unary(Opcode::isnan, out), number, from);
}

// exp(a - b), with inf - inf taken as zero.
Array exp_difference(const Array& a, const Array& b) {
  Array difference = subtract(a, b);
  return exp(
      where(unary(Opcode::isnan, difference), where(equal(a, b), constant(0, a.dtype()), difference), difference));
}

// logcumsumexp by the largest elements so far: exponentials relative to them, `fall` from one of them to the next, and
// the sums of exponentials that recur with it. Derivatives are made of these, not of the result, whose rounding is no
// small part of what a large one differs by from x.
struct Exponentials {
  Array part, fall, total;
};
Exponentials exponentials(const Array& x, int axis, bool reverse) {
  Array top = stop_gradient(cumulative(CumulativeOp::max, x, axis, reverse));
  Array none = constant(-std::numeric_limits<double>::infinity(), x.dtype());
  Array fall = exp_difference(shift(top, axis, reverse, none), top), part = exp_difference(x, top);
  return {part, fall, linear_recurrence(fall, part, axis, reverse)};
}

}  // namespace

// ---- sums, products, extrema

std::string_view Cumulative::name() const { return names[int(op_)]; }
void Cumulative::hash(Hasher& h) const {
  h.add(axis_);
  h.add(reverse_);
}
std::string Cumulative::parameters() const { return cat("axis=", axis_, reverse_ ? ", reverse=True" : ""); }

Arrays Cumulative::vjp(const VjpContext& v) const {
  const Array &x = v.inputs[0], &out = v.outputs[0], &ct = v.cotangents[0];
  switch (op_) {
    case CumulativeOp::sum:
      return {cumulative(CumulativeOp::sum, ct, axis_, !reverse_)};
    case CumulativeOp::prod: {
      // The product before an element times what its successors make of it: sum of ct[j] * x[i + 1] * ... * x[j]. No
      // division, so zeros are no special case and the result can be differentiated again.
      auto conjugated = [](const Array& a) { return is_complex(a.dtype()) ? conjugate(a) : a; };
      Array zero = constant(0, x.dtype()), before = conjugated(shift(out, axis_, reverse_, constant(1, x.dtype())));
      Array after = linear_recurrence(shift(conjugated(x), axis_, !reverse_, zero), ct, axis_, !reverse_);
      Array slope = multiply(before, after);
      if (is_complex(x.dtype())) return {slope};
      // Behind a zero nothing matters, also if the product of what follows overflows.
      Array lost = binary(Opcode::logical_and, equal(before, zero), unary(Opcode::isinf, after));
      return {where(lost, zero, slope)};
    }
    case CumulativeOp::max:
    case CumulativeOp::min:
      return {
          put_along_axis(zeros_like(ct), stop_gradient(sources(x, out, axis_, reverse_)), ct, axis_, ScatterMode::add)};
    case CumulativeOp::logaddexp:
      break;
  }
  // d out[j] / d x[i] = part[i] * fall[i + 1] * ... * fall[j] / total[j]: no factor exceeds 1, and most are 1.
  Dtype wide = promote_types(x.dtype(), Dtype::float32);
  auto [part, fall, total] = exponentials(astype(x, wide), axis_, reverse_);
  fall = shift(fall, axis_, !reverse_, constant(0, wide));
  Array later = linear_recurrence(fall, divide(astype(ct, wide), total), axis_, !reverse_);
  return {astype(multiply(part, later), x.dtype())};
}

std::optional<Arrays> Cumulative::jvp(Span inputs, Span tangents, Span outputs) const {
  const Array &x = inputs[0], &t = tangents[0], &out = outputs[0];
  if (!t) return Arrays{Array()};
  switch (op_) {
    case CumulativeOp::sum:
      return Arrays{cumulative(CumulativeOp::sum, t, axis_, reverse_)};
    case CumulativeOp::prod: {
      // out' = out[before]' * x + out[before] * x'.
      Array before = shift(out, axis_, reverse_, constant(1, x.dtype()));
      return Arrays{linear_recurrence(x, multiply(before, t), axis_, reverse_)};
    }
    case CumulativeOp::max:
    case CumulativeOp::min:
      return Arrays{take_along_axis(t, stop_gradient(sources(x, out, axis_, reverse_)), axis_)};
    case CumulativeOp::logaddexp:
      break;
  }
  Dtype wide = promote_types(x.dtype(), Dtype::float32);
  auto [part, fall, total] = exponentials(astype(x, wide), axis_, reverse_);
  Array moved = linear_recurrence(fall, multiply(astype(t, wide), part), axis_, reverse_);
  return Arrays{astype(divide(moved, total), x.dtype())};
}

Batched Cumulative::batch(Span inputs, std::span<const bool>, int64_t) const {
  return {{cumulative(op_, inputs[0], axis_ + 1, reverse_)}, {true}};
}

// ---- linear recurrence

void LinearRecurrence::hash(Hasher& h) const {
  h.add(axis_);
  h.add(reverse_);
}
std::string LinearRecurrence::parameters() const { return cat("axis=", axis_, reverse_ ? ", reverse=True" : ""); }

Arrays LinearRecurrence::vjp(const VjpContext& v) const {
  const Array &a = v.inputs[0], &ct = v.cotangents[0], &out = v.outputs[0];
  Array zero = constant(0, a.dtype());
  auto conjugated = [](const Array& x) { return is_complex(x.dtype()) ? conjugate(x) : x; };
  // g[t] = ct[t] + a[t + 1] * g[t + 1].
  Array g = linear_recurrence(conjugated(shift(a, axis_, !reverse_, zero)), ct, axis_, !reverse_);
  return {v.needed[0] ? multiply(g, conjugated(shift(out, axis_, reverse_, zero))) : Array(), g};
}

std::optional<Arrays> LinearRecurrence::jvp(Span inputs, Span tangents, Span outputs) const {
  Array source = tangents[1];
  if (tangents[0])
    source =
        add_or_null(source, multiply(tangents[0], shift(outputs[0], axis_, reverse_, constant(0, outputs[0].dtype()))));
  return Arrays{source ? linear_recurrence(inputs[0], source, axis_, reverse_) : Array()};
}

Batched LinearRecurrence::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  return {{linear_recurrence(with_batch_axis(inputs[0], batched[0], size), with_batch_axis(inputs[1], batched[1], size),
                             axis_ + 1, reverse_)},
          {true}};
}

Array linear_recurrence(const Array& a, const Array& x, int64_t axis, bool reverse) {
  int at = normalize_axis("linear_recurrence", axis, x.ndim());
  if (a.shape() != x.shape() || a.dtype() != x.dtype())
    throw ValueError(cat("linear_recurrence: factors of shape ", a.shape(), " and dtype ", dtype_name(a.dtype()),
                         " do not match terms of shape ", x.shape(), " and dtype ", dtype_name(x.dtype())));
  const Array inputs[] = {a, x};
  return make_node(Ref<const Primitive>(new LinearRecurrence(at, reverse)), inputs, x.shape(), x.dtype());
}

// ---- public functions

namespace {

// What an exclusive result starts from.
Array start_of(CumulativeOp op, Dtype dtype) {
  if (op == CumulativeOp::sum) return constant(0, dtype);
  if (op == CumulativeOp::prod) return constant(1, dtype);
  return farthest(op == CumulativeOp::min ? ReduceOp::min : ReduceOp::max, dtype);
}

Array run(CumulativeOp op, const Array& x, MaybeAxis axis, bool reverse, bool inclusive) {
  const char* name = names[int(op)].data();
  if (is_complex(x.dtype()) && op >= CumulativeOp::max)
    throw ValueError(cat(name, ": is not defined for complex64 arrays"));
  if (!axis) return run(op, reshape(x, {-1}), 0, reverse, inclusive);
  int at = normalize_axis(name, *axis, x.ndim());
  Array out = cumulative(op, x, at, reverse);
  return inclusive ? out : shift(out, at, reverse, start_of(op, x.dtype()));
}

}  // namespace

Array cumsum(const Array& x, MaybeAxis axis, bool reverse, bool inclusive) {
  return run(CumulativeOp::sum, x.dtype() == Dtype::bool_ ? astype(x, Dtype::int32) : x, axis, reverse, inclusive);
}
Array cumprod(const Array& x, MaybeAxis axis, bool reverse, bool inclusive) {
  return run(CumulativeOp::prod, x, axis, reverse, inclusive);
}
Array cummax(const Array& x, MaybeAxis axis, bool reverse, bool inclusive) {
  return run(CumulativeOp::max, x, axis, reverse, inclusive);
}
Array cummin(const Array& x, MaybeAxis axis, bool reverse, bool inclusive) {
  return run(CumulativeOp::min, x, axis, reverse, inclusive);
}
Array logcumsumexp(const Array& x, MaybeAxis axis, bool reverse, bool inclusive) {
  return run(CumulativeOp::logaddexp, is_inexact(x.dtype()) ? x : astype(x, Dtype::float32), axis, reverse, inclusive);
}

}  // namespace funcnn
