#include "ops/gather_dot.h"

#include "base/error.h"
#include "ops/create.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "ops/rules.h"
#include "ops/views.h"

namespace funcnn {
namespace {

Shape lead_of(const Array& x) { return Shape(x.shape().begin(), x.shape().end() - 2); }
Array exchanged(const Array& x) { return swapaxes(x, -1, -2); }
Array in_order(int64_t count) { return iota({count}, Dtype::int64); }

// Flat numbers of `count` matrices; those out of range become `count`.
Array checked_numbers(const char* op, const Array& given, int64_t count) {
  Array n = astype(as_indices(op, given), Dtype::int64);
  Array size = constant(count, Dtype::int64), zero = constant(0, Dtype::int64);
  Array wrapped = where(less(n, zero), add(n, size), n);
  return where(less(wrapped, zero), size, minimum(wrapped, size));
}

}  // namespace

Array merged_lead(const Array& x) { return reshape(x, {element_count(lead_of(x)), x.dim(-2), x.dim(-1)}); }

Chosen choose(const char* op, const Shape& a_lead, const Shape& b_lead, const Array& lhs, const Array& rhs) {
  auto numbers = [op](const Shape& lead, const Array& given) {
    int64_t count = element_count(lead);
    return given ? checked_numbers(op, given, count) : reshape(in_order(count), lead);
  };
  Array l = numbers(a_lead, lhs), r = numbers(b_lead, rhs);
  Shape shape = broadcast_shapes(op, l.shape(), r.shape());
  return {reshape(broadcast_to(l, shape), {-1}), reshape(broadcast_to(r, shape), {-1}), shape};
}

Array batched_numbers(const Array& numbers, bool batched, int64_t size, int64_t count, bool shared) {
  Array n = with_batch_axis(numbers, batched, size);
  if (!shared) {
    Array all = constant(size * count, Dtype::int64), one = constant(count, Dtype::int64);
    Array first = multiply(reshape(in_order(size), {size, 1}), one);
    n = where(less(n, one), add(n, first), all);
  }
  return reshape(n, {-1});
}

Array scattered(const Array& x, const Array& numbers, int64_t count) {
  const Array index[] = {numbers};
  IndexedAxes axes;
  axes.indexed.push_back(0);
  return scatter(ScatterMode::add, zeros({count, x.dim(1), x.dim(2)}, x.dtype()), x, index, axes);
}

// ---- gather_dot

Array gather_dot(const Array& a, const Array& b, const Array& lhs, const Array& rhs) {
  static const Ref<const Primitive> shared(new GatherDot);
  Shape shape{lhs.dim(0), a.dim(1), b.dim(2)};
  if (a.dim(2) == 0 || element_count(shape) == 0) return zeros(shape, a.dtype());
  const Array inputs[] = {a, b, lhs, rhs};
  return make_node(shared, inputs, std::move(shape), a.dtype());
}

Arrays GatherDot::vjp(const VjpContext& v) const {
  const Array &a = v.inputs[0], &b = v.inputs[1], &lhs = v.inputs[2], &rhs = v.inputs[3], &ct = v.cotangents[0];
  Arrays out(4);
  Array own = in_order(lhs.dim(0));
  if (v.needed[0]) out[0] = scattered(gather_dot(ct, exchanged(b), own, rhs), lhs, a.dim(0));
  if (v.needed[1]) out[1] = scatter_dot(a, ct, lhs, own, rhs, b.dim(0));
  return out;
}

std::optional<Arrays> GatherDot::jvp(Span in, Span t, Span) const {
  Array left = t[0] ? gather_dot(t[0], in[1], in[2], in[3]) : Array();
  Array right = t[1] ? gather_dot(in[0], t[1], in[2], in[3]) : Array();
  return Arrays{add_or_null(left, right)};
}

Batched GatherDot::batch(Span in, std::span<const bool> batched, int64_t size) const {
  auto matrices = [&](size_t i) { return batched[i] ? merged_lead(in[i]) : in[i]; };
  auto numbers = [&](size_t i, size_t of) {
    int64_t count = in[of].dim(batched[of] ? 1 : 0);
    return batched_numbers(in[i], batched[i], size, count, !batched[of]);
  };
  Array out = gather_dot(matrices(0), matrices(1), numbers(2, 0), numbers(3, 1));
  return {{reshape(out, {size, out.dim(0) / size, out.dim(1), out.dim(2)})}, {true}};
}

// ---- scatter_dot

std::string ScatterDot::parameters() const { return cat("count=", count_); }

Array scatter_dot(const Array& a, const Array& c, const Array& lhs, const Array& rhs, const Array& to, int64_t count) {
  Shape shape{count, a.dim(2), c.dim(2)};
  if (lhs.dim(0) == 0 || a.dim(1) == 0 || element_count(shape) == 0) return zeros(shape, a.dtype());
  const Array inputs[] = {a, c, lhs, rhs, to};
  return make_node(Ref<const Primitive>(new ScatterDot(count)), inputs, std::move(shape), a.dtype());
}

Arrays ScatterDot::vjp(const VjpContext& v) const {
  const Array &a = v.inputs[0], &c = v.inputs[1], &lhs = v.inputs[2], &rhs = v.inputs[3], &to = v.inputs[4],
              &ct = v.cotangents[0];
  Arrays out(5);
  if (v.needed[0]) out[0] = scattered(gather_dot(c, exchanged(ct), rhs, to), lhs, a.dim(0));
  if (v.needed[1]) out[1] = scattered(gather_dot(a, ct, lhs, to), rhs, c.dim(0));
  return out;
}

std::optional<Arrays> ScatterDot::jvp(Span in, Span t, Span) const {
  Array left = t[0] ? scatter_dot(t[0], in[1], in[2], in[3], in[4], count_) : Array();
  Array right = t[1] ? scatter_dot(in[0], t[1], in[2], in[3], in[4], count_) : Array();
  return Arrays{add_or_null(left, right)};
}

Batched ScatterDot::batch(Span in, std::span<const bool> batched, int64_t size) const {
  auto matrices = [&](size_t i) { return batched[i] ? merged_lead(in[i]) : in[i]; };
  auto numbers = [&](size_t i, size_t of) {
    return batched_numbers(in[i], batched[i], size, in[of].dim(batched[of] ? 1 : 0), !batched[of]);
  };
  Array to = batched_numbers(in[4], batched[4], size, count_, false);
  Array out = scatter_dot(matrices(0), matrices(1), numbers(2, 0), numbers(3, 1), to, size * count_);
  return {{reshape(out, {size, count_, out.dim(1), out.dim(2)})}, {true}};
}

// ---- public

Array gather_mm(const Array& first, const Array& second, const Array& lhs, const Array& rhs) {
  if (first.ndim() == 0 || second.ndim() == 0)
    throw ValueError(
        cat("gather_mm: expected at least one dimension, got shapes ", first.shape(), " and ", second.shape()));
  Dtype dtype = promote_types(first.dtype(), second.dtype());
  if (!is_float(dtype))
    throw ValueError(cat("gather_mm: is defined for real floating-point arrays, got ", first.dtype(), " and ",
                         second.dtype(), "; convert one with astype"));
  Array a = astype(first, dtype), b = astype(second, dtype);
  bool vector_a = a.ndim() == 1, vector_b = b.ndim() == 1;
  if (vector_a) a = reshape(a, {1, -1});
  if (vector_b) b = reshape(b, {-1, 1});
  if (a.dim(-1) != b.dim(-2))
    throw ValueError(cat("gather_mm: the last axis of the first argument (size ", a.dim(-1),
                         ") must match the second-to-last axis of the second (size ", b.dim(-2), "); shapes ",
                         first.shape(), " and ", second.shape()));
  Chosen chosen = choose("gather_mm", lead_of(a), lead_of(b), lhs, rhs);
  Array out = gather_dot(merged_lead(a), merged_lead(b), chosen.lhs, chosen.rhs);
  Shape shape = chosen.shape;
  if (!vector_a) shape.push_back(a.dim(-2));
  if (!vector_b) shape.push_back(b.dim(-1));
  return reshape(out, shape);
}

}  // namespace funcnn
