#include "ops/reduce.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "graph/primitive.h"
#include "ops/annotate.h"
#include "ops/elementwise.h"
#include "ops/linalg.h"
#include "ops/pad.h"
#include "ops/rules.h"
#include "ops/views.h"

namespace funcnn {
namespace {

Shape kept_shape(const Shape& shape, std::span<const int> axes) {
  Shape out = shape;
  for (int axis : axes) out[size_t(axis)] = 1;
  return out;
}

Shape dropped_shape(const Shape& shape, std::span<const int> axes) {
  Shape out;
  for (int i = 0; i < int(shape.size()); ++i)
    if (std::find(axes.begin(), axes.end(), i) == axes.end()) out.push_back(shape[size_t(i)]);
  return out;
}

int64_t reduced_count(const Shape& shape, std::span<const int> axes) {
  int64_t n = 1;
  for (int axis : axes) n *= shape[size_t(axis)];
  return n;
}

// The order of axes that puts those named last.
Shape reduced_last(size_t rank, std::span<const int> axes) {
  Shape order, last;
  for (int i = 0; i < int(rank); ++i)
    (std::find(axes.begin(), axes.end(), i) == axes.end() ? order : last).push_back(i);
  for (int64_t a : last) order.push_back(a);
  return order;
}

// For each element, the product of all others along the axes. A tree of halves: no division, so zeros are no special
// case and the result can be differentiated again.
Array products_of_others(const Array& x, std::span<const int> axes) {
  Shape order = reduced_last(x.ndim(), axes);
  Array moved = transpose(x, order);
  Shape rows(moved.shape().begin(), moved.shape().begin() + ptrdiff_t(x.ndim() - axes.size()));
  int64_t n = reduced_count(x.shape(), axes), width = 1;
  while (width < n) width *= 2;
  auto shaped = [&](std::initializer_list<int64_t> last) {
    Shape s = rows;
    for (int64_t d : last) s.push_back(d);
    return s;
  };
  Array level = reshape(moved, shaped({n}));
  if (width != n) {
    Shape zero(rows.size() + 1, 0), high = zero;
    high.back() = width - n;
    level = pad(level, zero, high, zero, constant(1, x.dtype()));
  }
  int last = int(rows.size());
  std::vector<Array> tree;
  for (int64_t w = width; w > 1; w /= 2) {
    Array halves = reshape(level, shaped({2, w / 2}));
    tree.push_back(halves);
    level = multiply(reshape(slice_axis(halves, last, 0, 1), shaped({w / 2})),
                     reshape(slice_axis(halves, last, 1, 2), shaped({w / 2})));
  }
  Array others = full(shaped({1}), constant(1, x.dtype()));
  const int64_t pair[] = {last};
  for (size_t i = tree.size(); i-- > 0;) {
    int64_t w = tree[i].shape().back();
    others = reshape(multiply(reshape(others, shaped({1, w})), flip(tree[i], pair)), shaped({2 * w}));
  }
  if (width != n) others = slice_axis(others, last, 0, n);
  Shape inverse(order.size());
  for (size_t i = 0; i < order.size(); ++i) inverse[size_t(order[i])] = int64_t(i);
  return transpose(reshape(others, moved.shape()), inverse);
}

class Reduce final : public Primitive {
 public:
  Reduce(ReduceOp op, std::span<const int> axes) : op_(op), axes_(axes) {}
  std::string_view name() const override { return reduce_name(op_); }
  Kind kind() const override { return Kind::reduce; }
  ReduceOp reduce_op() const override { return op_; }
  std::span<const int> reduce_axes() const override { return axes_; }
  void hash(Hasher& h) const override {
    h.add(int(op_));
    h.add(axes_);
  }
  std::string parameters() const override { return cat("axes=", Shape(axes_.begin(), axes_.end())); }

  Arrays vjp(const VjpContext& v) const override {
    const Array& x = v.inputs[0];
    Array ct = keep(v.cotangents[0], x);
    switch (op_) {
      case ReduceOp::sum:
        return {broadcast_to(ct, x.shape())};
      case ReduceOp::prod: {
        Array others = factor_of_each(x);
        return {multiply(ct, is_complex(x.dtype()) ? conjugate(others) : others)};
      }
      case ReduceOp::max:
      case ReduceOp::min: {
        Array out = keep(v.outputs[0], x), hit = equal(x, out);
        // Nothing equals NaN, which has no derivative.
        Array rest = where(unary(Opcode::isnan, out), constant(std::numeric_limits<double>::quiet_NaN(), x.dtype()),
                           constant(0, x.dtype()));
        return {where(hit, divide(ct, ties(hit, x, true)), rest)};
      }
      default:
        return {Array()};
    }
  }

  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override {
    const Array &x = inputs[0], &t = tangents[0];
    if (!t) return Arrays{Array()};
    switch (op_) {
      case ReduceOp::sum:
        return Arrays{reduce(op_, t, axes_, false)};
      case ReduceOp::prod:
        return Arrays{reduce(ReduceOp::sum, multiply(factor_of_each(x), t), axes_, false)};
      case ReduceOp::max:
      case ReduceOp::min: {
        Array hit = equal(x, keep(outputs[0], x));
        Array total = reduce(ReduceOp::sum, where(hit, t, constant(0, t.dtype())), axes_, false);
        return Arrays{divide(total, ties(hit, x, false))};
      }
      default:
        return Arrays{Array()};
    }
  }

  Batched batch(Span inputs, std::span<const bool>, int64_t) const override {
    Axes shifted = axes_;
    for (int& axis : shifted) ++axis;
    return {{reduce(op_, inputs[0], shifted, false)}, {true}};
  }

 private:
  Array keep(const Array& reduced, const Array& x) const { return reshape(reduced, kept_shape(x.shape(), axes_)); }
  // The products of all others. Beside a zero, they are zero also where some of them overflow.
  Array factor_of_each(const Array& x) const {
    Array others = products_of_others(x, axes_);
    if (!is_float(x.dtype())) return others;
    Array finite = reduce(ReduceOp::all, unary(Opcode::isfinite, x), axes_, true);
    Array zero = constant(0, x.dtype()), zeros = reduce(ReduceOp::any, equal(x, zero), axes_, true);
    Array lost = binary(Opcode::logical_and, binary(Opcode::logical_and, finite, zeros), unary(Opcode::isnan, others));
    return where(lost, zero, others);
  }
  // How many elements share the extreme value.
  Array ties(const Array& hit, const Array& x, bool keepdims) const {
    return reduce(ReduceOp::sum, astype(hit, x.dtype()), axes_, keepdims);
  }

  ReduceOp op_;
  Axes axes_;
};

Array as_inexact(const Array& x) { return is_inexact(x.dtype()) ? x : astype(x, Dtype::float32); }

// The mask of a selection in the shape of x; null if there is none.
Array mask_for(const char* op, const Array& where, const Array& x) {
  if (!where) return where;
  if (where.dtype() != Dtype::bool_)
    throw ValueError(
        cat(op, ": where must be a bool array, got ", dtype_name(where.dtype()), "; compare, as in x != 0"));
  bool fits = where.ndim() <= x.ndim();
  for (size_t i = 0; fits && i < where.ndim(); ++i) {
    int64_t length = where.shape()[i], wanted = x.shape()[x.ndim() - where.ndim() + i];
    fits = length == 1 || length == wanted;
  }
  if (!fits)
    throw ValueError(
        cat(op, ": where, of shape ", where.shape(), ", does not broadcast to the array's shape ", x.shape()));
  return broadcast_to(where, x.shape());
}

// x with `other` where the mask does not take it.
Array taken(const Array& mask, const Array& x, const Array& other) { return mask ? where(mask, x, other) : x; }

void check_initial(const char* op, const Array& initial) {
  if (initial && initial.ndim() != 0)
    throw ValueError(cat(op, ": initial must be a scalar, got shape ", initial.shape()));
}

Array counted(ReduceOp op, const Array& x, const AxisSet& axes, bool keepdims, const Selection& s) {
  const char* name = reduce_name(op).data();
  check_initial(name, s.initial);
  Array values = astype(x, sum_dtype(x.dtype()));
  Array neutral = constant(op == ReduceOp::prod ? 1 : 0, values.dtype());
  Array out =
      reduce(op, taken(mask_for(name, s.where, x), values, neutral), resolve_axes(name, axes, x.ndim()), keepdims);
  if (!s.initial) return out;
  return op == ReduceOp::prod ? multiply(out, s.initial) : add(out, s.initial);
}

Array extreme(ReduceOp op, const Array& x, const AxisSet& axes, bool keepdims, const Selection& s) {
  const char* name = reduce_name(op).data();
  check_initial(name, s.initial);
  Axes over = resolve_axes(name, axes, x.ndim());
  if (is_complex(x.dtype()))
    throw ValueError(cat(name, ": is not defined for complex64; take abs or the real part first"));
  if (s.where && !s.initial) throw ValueError(cat(name, ": where may leave no element; give initial, too"));
  bool empty = reduced_count(x.shape(), over) == 0;
  if (empty && !s.initial)
    for (int axis : over)
      if (x.shape()[size_t(axis)] == 0)
        throw ValueError(cat(name, ": axis ", axis, " of an array of shape ", x.shape(), " is empty and has no ", name,
                             "; initial would give one"));
  Array values = taken(mask_for(name, s.where, x), x, farthest(op, x.dtype()));
  if (x.dtype() == Dtype::bool_) op = op == ReduceOp::max ? ReduceOp::any : ReduceOp::all;
  Array out =
      empty ? full(keepdims ? kept_shape(x.shape(), over) : dropped_shape(x.shape(), over), farthest(op, x.dtype()))
            : reduce(op, values, over, keepdims);
  if (!s.initial) return out;
  // At equality the second operand takes the derivative: the elements, not the initial value.
  return op == ReduceOp::max || op == ReduceOp::any ? maximum(s.initial, out) : minimum(s.initial, out);
}

// How many elements a mean or a variance is over, as `dtype`.
Array selected_count(const Array& mask, const Array& x, const Axes& over, bool keepdims, Dtype dtype) {
  return mask ? astype(count(mask, over, keepdims), dtype) : constant(reduced_count(x.shape(), over), dtype);
}

// The maximum, for shifting exponents: results do not depend on it, so neither do derivatives.
Array shift(const Array& x, std::span<const int> axes, bool finite) {
  Array top = stop_gradient(reduce(ReduceOp::max, x, axes, true));
  // A row of -inf (or one with +inf) must not become inf - inf.
  return finite ? where(unary(Opcode::isfinite, top), top, constant(0, top.dtype())) : top;
}

}  // namespace

Dtype sum_dtype(Dtype d) {
  switch (d) {
    case Dtype::bool_:
    case Dtype::int8:
    case Dtype::int16:
      return Dtype::int32;
    case Dtype::uint8:
    case Dtype::uint16:
      return Dtype::uint32;
    default:
      return d;
  }
}

Array reduce(ReduceOp op, const Array& x, std::span<const int> axes, bool keepdims) {
  Shape kept = kept_shape(x.shape(), axes);
  if (reduced_count(x.shape(), axes) == 1 &&
      ((op != ReduceOp::all && op != ReduceOp::any) || x.dtype() == Dtype::bool_)) {
    return reshape(x, keepdims ? kept : dropped_shape(x.shape(), axes));
  }
  Shape out = dropped_shape(x.shape(), axes);
  Dtype dtype = op == ReduceOp::all || op == ReduceOp::any ? Dtype::bool_ : x.dtype();
  if (reduced_count(x.shape(), axes) == 0 && op != ReduceOp::max && op != ReduceOp::min) {
    bool one = op == ReduceOp::prod || op == ReduceOp::all;
    return full(keepdims ? kept : out, constant(one ? 1 : 0, dtype));
  }
  Array reduced = make_node(Ref<const Primitive>(new Reduce(op, axes)), Span(&x, 1), std::move(out), dtype);
  return keepdims ? reshape(reduced, kept) : reduced;
}

Axes resolve_axes(const char* op, const AxisSet& axes, size_t rank) {
  if (!axes.all) return normalize_axes(op, axes.axes, rank);
  Axes every(rank);
  std::iota(every.begin(), every.end(), 0);
  return every;
}

Array count(const Array& mask, std::span<const int> axes, bool keepdims) {
  const bool fits = reduced_count(mask.shape(), axes) <= std::numeric_limits<int32_t>::max();
  return reduce(ReduceOp::sum, astype(mask, fits ? Dtype::int32 : Dtype::int64), axes, keepdims);
}

Array sum(const Array& x, const AxisSet& axes, bool keepdims, const Selection& selection) {
  return counted(ReduceOp::sum, x, axes, keepdims, selection);
}
Array prod(const Array& x, const AxisSet& axes, bool keepdims, const Selection& selection) {
  return counted(ReduceOp::prod, x, axes, keepdims, selection);
}
Array max(const Array& x, const AxisSet& axes, bool keepdims, const Selection& selection) {
  return extreme(ReduceOp::max, x, axes, keepdims, selection);
}
Array min(const Array& x, const AxisSet& axes, bool keepdims, const Selection& selection) {
  return extreme(ReduceOp::min, x, axes, keepdims, selection);
}

Array all(const Array& x, const AxisSet& axes, bool keepdims, const Array& where) {
  Array values = taken(mask_for("all", where, x), astype(x, Dtype::bool_), constant(1, Dtype::bool_));
  return reduce(ReduceOp::all, values, resolve_axes("all", axes, x.ndim()), keepdims);
}
Array any(const Array& x, const AxisSet& axes, bool keepdims, const Array& where) {
  Array values = taken(mask_for("any", where, x), astype(x, Dtype::bool_), constant(0, Dtype::bool_));
  return reduce(ReduceOp::any, values, resolve_axes("any", axes, x.ndim()), keepdims);
}

Array mean(const Array& x, const AxisSet& axes, bool keepdims, const Array& where) {
  Axes over = resolve_axes("mean", axes, x.ndim());
  if (is_half(x.dtype())) return astype(mean(astype(x, Dtype::float32), axes, keepdims, where), x.dtype());
  Array values = as_inexact(x), mask = mask_for("mean", where, x);
  Array total = reduce(ReduceOp::sum, taken(mask, values, constant(0, values.dtype())), over, keepdims);
  return divide(total, selected_count(mask, x, over, keepdims, total.dtype()));
}

namespace {

// |x|^2, without |x|, which has no derivative of second order at 0.
Array squared_size(const Array& x) { return is_complex(x.dtype()) ? add(square(real(x)), square(imag(x))) : square(x); }

// `of` a total, and `at_zero` with no slope where that is zero.
template <class F>
Array sloped(const Array& total, double at_zero, F&& of) {
  Array nothing = equal(total, constant(0, total.dtype()));
  return where(nothing, constant(at_zero, total.dtype()), of(where(nothing, constant(1, total.dtype()), total)));
}

// The root of a sum of powers, which are zero together: a norm has a least slope at zero, and that is 0.
template <class F>
Array root(const Array& total, F&& of) {
  return sloped(total, 0, of);
}

}  // namespace

Array var(const Array& x, const AxisSet& axes, bool keepdims, double ddof, const Array& where) {
  Axes over = resolve_axes("var", axes, x.ndim());
  if (is_half(x.dtype())) return astype(var(astype(x, Dtype::float32), axes, keepdims, ddof, where), x.dtype());
  Array values = as_inexact(x), mask = mask_for("var", where, x);
  Array deviation = subtract(values, mean(values, axes, true, where));
  // What does not count must not reach the square: its derivative may be infinite.
  deviation = taken(mask, deviation, constant(0, deviation.dtype()));
  Array total = reduce(ReduceOp::sum, squared_size(deviation), over, keepdims);
  if (!mask)
    return divide(total, constant(std::max(double(reduced_count(x.shape(), over)) - ddof, 0.0), total.dtype()));
  Array freedom = subtract(selected_count(mask, x, over, keepdims, total.dtype()), constant(ddof, total.dtype()));
  return divide(total, maximum(freedom, constant(0, total.dtype())));
}

Array std(const Array& x, const AxisSet& axes, bool keepdims, double ddof, const Array& where) {
  // The variance may be out of range where the deviation is not.
  if (is_half(x.dtype())) return astype(std(astype(x, Dtype::float32), axes, keepdims, ddof, where), x.dtype());
  return root(var(x, axes, keepdims, ddof, where), sqrt);
}

Array logsumexp(const Array& x, const AxisSet& axes, bool keepdims) {
  Axes over = resolve_axes("logsumexp", axes, x.ndim());
  if (is_half(x.dtype())) return astype(logsumexp(astype(x, Dtype::float32), axes, keepdims), x.dtype());
  Array values = as_inexact(x);
  if (reduced_count(x.shape(), over) == 0)
    return full(keepdims ? kept_shape(x.shape(), over) : dropped_shape(x.shape(), over),
                constant(-std::numeric_limits<double>::infinity(), values.dtype()));
  if (is_complex(values.dtype())) return log(reduce(ReduceOp::sum, exp(values), over, keepdims));
  Array top = shift(values, over, true);
  // Of -inf alone the sum is zero, and no finite step changes that.
  Array total = sloped(reduce(ReduceOp::sum, exp(subtract(values, top)), over, true),
                       -std::numeric_limits<double>::infinity(), log);
  Array out = add(total, top);
  return keepdims ? out : reshape(out, dropped_shape(x.shape(), over));
}

Array softmax(const Array& x, const AxisSet& axes) {
  Axes over = resolve_axes("softmax", axes, x.ndim());
  if (is_half(x.dtype())) return astype(softmax(astype(x, Dtype::float32), axes), x.dtype());
  Array values = as_inexact(x);
  if (x.size() == 0) return values;
  Array top = is_complex(values.dtype()) ? constant(0, values.dtype()) : shift(values, over, false);
  Array weights = exp(subtract(values, top));
  // One division a row, in the derivative too.
  return multiply(weights, reciprocal(reduce(ReduceOp::sum, weights, over, true)));
}

Array log_softmax(const Array& x, const AxisSet& axes) {
  Axes over = resolve_axes("log_softmax", axes, x.ndim());
  if (is_half(x.dtype())) return astype(log_softmax(astype(x, Dtype::float32), axes), x.dtype());
  Array values = as_inexact(x);
  if (x.size() == 0) return values;
  Array centred = is_complex(values.dtype()) ? values : subtract(values, shift(values, over, false));
  return subtract(centred, log(reduce(ReduceOp::sum, exp(centred), over, true)));
}

namespace {

// Two axes as the last two.
Array moveaxis_to_end(const Array& x, int rows, int columns) {
  Shape order;
  for (int axis = 0; axis < int(x.ndim()); ++axis)
    if (axis != rows && axis != columns) order.push_back(axis);
  order.push_back(rows);
  order.push_back(columns);
  return transpose(x, order);
}

Shape sorted_axes(const Axes& axes) {
  Shape sorted(axes.begin(), axes.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

// For an order p: the largest of magnitudes, and 0 of none; the least, if p is negative.
Array largest_or_least(double p, const Array& magnitudes, const AxisSet& axes, bool keepdims) {
  Axes over = resolve_axes("norm", axes, magnitudes.ndim());
  if (reduced_count(magnitudes.shape(), over) > 0)
    return p > 0 ? max(magnitudes, axes, keepdims) : min(magnitudes, axes, keepdims);
  if (p <= 0) throw ValueError(cat("norm: of no elements there is no norm of order ", p));
  const Shape& shape = magnitudes.shape();
  return full(keepdims ? kept_shape(shape, over) : dropped_shape(shape, over), constant(0, magnitudes.dtype()));
}

// What to measure magnitudes in: the largest or the least of them, or 1 where there is none or that is no unit.
Array unit_of(double p, const Array& magnitudes, const AxisSet& axes) {
  Axes over = resolve_axes("norm", axes, magnitudes.ndim());
  Array one = constant(1, magnitudes.dtype());
  if (reduced_count(magnitudes.shape(), over) == 0) return full(kept_shape(magnitudes.shape(), over), one);
  Array extreme = stop_gradient(largest_or_least(p, magnitudes, axes, true));
  Array usable = greater(extreme, constant(0, extreme.dtype()));
  return where(binary(Opcode::logical_and, usable, unary(Opcode::isfinite, extreme)), extreme, one);
}

}  // namespace

Array norm(const Array& x, std::optional<double> order, std::string_view named, const AxisSet& axes, bool keepdims) {
  if (is_half(x.dtype())) return astype(norm(astype(x, Dtype::float32), order, named, axes, keepdims), x.dtype());
  Array values = as_inexact(x);
  Axes over;
  if (axes.all) {
    over = resolve_axes("norm", axes, x.ndim());
    if ((order || !named.empty()) && x.ndim() != 1 && x.ndim() != 2)
      throw ValueError(
          cat("norm: an order without axes needs a vector or a matrix, got shape ", x.shape(), "; name the axes"));
  } else {
    for (int64_t axis : axes.axes) over.push_back(normalize_axis("norm", axis, x.ndim()));
  }
  AxisSet sorted;
  sorted.all = false;
  for (int axis : over) sorted.axes.push_back(axis);
  auto absolute = [&] { return abs(values); };
  auto two_norm = [&] { return root(sum(squared_size(values), sorted, keepdims), sqrt); };
  if (!named.empty() && named != "fro" && named != "nuc")
    throw ValueError(cat("norm: the order '", std::string(named), "' is not known; expected a number, 'fro' or 'nuc'"));
  if (!named.empty() && over.size() != 2)
    throw ValueError(cat("norm: '", std::string(named), "' needs two axes, got ", over.size()));
  if (over.size() == 2 && over[0] == over[1]) throw ValueError("norm: an axis is named twice");
  if (named == "fro" || (!order && named.empty())) return two_norm();
  double p = order.value_or(0);
  if (over.size() == 1) {
    if (p == 2) return two_norm();
    if (p == 1) return sum(absolute(), sorted, keepdims);
    if (p == 0)
      return sum(astype(binary(Opcode::not_equal, values, constant(0, values.dtype())), absolute().dtype()), sorted,
                 keepdims);
    if (std::isinf(p)) return largest_or_least(p, absolute(), sorted, keepdims);
    // Powers of what is at most 1 are in range: the largest counts if p is positive, else the least.
    Array magnitude = absolute(), unit = unit_of(p, magnitude, sorted);
    Array total = sum(power(divide(magnitude, unit), constant(p, magnitude.dtype())), sorted, keepdims);
    auto inverse_power = [&](const Array& x) { return power(x, constant(1 / p, x.dtype())); };
    Array size = p > 0 ? root(total, inverse_power) : inverse_power(total);
    return multiply(size, keepdims ? unit : squeeze(unit, sorted.axes));
  }
  if (over.size() != 2) throw ValueError(cat("norm: expected one axis or two, got ", over.size()));
  if (named == "nuc" || std::abs(p) == 2) {
    Array singular = svdvals("norm", moveaxis_to_end(values, over[0], over[1]));
    Array size = named == "nuc" ? sum(singular, AxisSet{-1}, false) : largest_or_least(p, singular, AxisSet{-1}, false);
    return keepdims ? expand_dims(size, sorted_axes(over)) : size;
  }
  if (std::abs(p) != 1 && !std::isinf(p))
    throw ValueError(
        cat("norm: the order ", p, " is not available for matrices; expected 1, -1, 2, -2, inf, -inf, 'fro' or 'nuc'"));
  // Sums of magnitudes along columns (order 1) or rows (inf), then the largest or smallest.
  bool columns = !std::isinf(p);
  int64_t first = columns ? over[0] : over[1], second = columns ? over[1] : over[0];
  Array sums = sum(absolute(), AxisSet{first}, true);
  Array picked = largest_or_least(p, sums, AxisSet{second}, true);
  return keepdims ? picked : squeeze(picked, sorted.axes);
}

}  // namespace funcnn
