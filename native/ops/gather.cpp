#include "ops/gather.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "graph/trace.h"
#include "ops/create.h"
#include "ops/cumulative.h"
#include "ops/elementwise.h"
#include "ops/pad.h"
#include "ops/rules.h"
#include "ops/sort.h"
#include "ops/views.h"

namespace funcnn {
namespace {

bool contains(const Axes& axes, int axis) { return std::find(axes.begin(), axes.end(), axis) != axes.end(); }

}  // namespace

Axes IndexedAxes::whole(size_t rank) const {
  Axes rest;
  for (int i = 0; i < int(rank); ++i)
    if (!contains(indexed, i) && !contains(x_batch, i)) rest.push_back(i);
  return rest;
}

namespace {

// The common shape of the index arrays and of the axes of x that go along with it.
Shape index_shape(const char* op, const Shape& x, Span indices, const IndexedAxes& axes) {
  Shape shape;
  for (const Array& index : indices) shape = broadcast_shapes(op, shape, index.shape());
  for (size_t i = 0; i < axes.x_batch.size(); ++i) {
    int64_t &have = shape[size_t(axes.index_batch[i])], along = x[size_t(axes.x_batch[i])];
    if (have == 1) have = along;
    if (have != along && along != 1)
      throw ValueError(cat(op, ": the indices of common shape ", shape, " do not broadcast along axis ",
                           axes.x_batch[i], " of an array of shape ", x));
  }
  return shape;
}

Shape with_rest(Shape shape, const Shape& x, const IndexedAxes& axes) {
  for (int axis : axes.whole(x.size())) shape.push_back(x[size_t(axis)]);
  return shape;
}

// Axis 0 of x and of the indices becomes a common batch axis; what was there moves behind it.
IndexedAxes with_common_axis(const IndexedAxes& axes) {
  IndexedAxes out;
  for (int a : axes.indexed) out.indexed.push_back(a + 1);
  out.x_batch.push_back(0);
  out.index_batch.push_back(0);
  for (int a : axes.x_batch) out.x_batch.push_back(a + 1);
  for (int a : axes.index_batch) out.index_batch.push_back(a + 1);
  return out;
}

// Index arrays with the batch axis in front of the common rank, of length 1 where `force` and none is batched.
Arrays batched_indices(Span indices, std::span<const bool> batched, bool force) {
  Arrays out = align_batched(indices, batched);
  size_t rank = 0;
  bool any = false;
  for (size_t i = 0; i < indices.size(); ++i) {
    rank = std::max(rank, indices[i].ndim() - (batched[i] ? 1 : 0));
    any = any || batched[i];
  }
  if (!any && force && !out.empty()) {
    Shape shape = out[0].shape();
    while (shape.size() < rank + 1) shape.insert(shape.begin(), 1);
    out[0] = reshape(out[0], shape);
  }
  return out;
}

void hash_axes(Hasher& h, const IndexedAxes& axes) {
  h.add(axes.indexed);
  h.add(axes.x_batch);
  h.add(axes.index_batch);
}

std::string list(const Axes& axes) {
  std::string out = "(";
  for (size_t i = 0; i < axes.size(); ++i) out += cat(i ? ", " : "", axes[i]);
  return cat(out, axes.size() == 1 ? ",)" : ")");
}

std::string describe(const IndexedAxes& axes) {
  std::string out = "axes=" + list(axes.indexed);
  if (!axes.x_batch.empty()) out += ", batch=" + list(axes.x_batch) + "->" + list(axes.index_batch);
  return out;
}

// For each update, the product of the others that go to the same place. Updates sorted by place are multiplied up from
// both sides: no division, so zeros are no special case and the result can be differentiated again.
Array products_of_other_updates(const Shape& x, const Array& updates, Span indices, const Shape& common,
                                const IndexedAxes& axes) {
  if (updates.size() == 0) return updates;
  Array place = constant(0, Dtype::int64);
  auto enter = [&](const Array& position, int64_t length) {
    place = add(multiply(place, constant(length, Dtype::int64)), position);
  };
  for (size_t k = 0; k < axes.x_batch.size(); ++k) {
    Shape along(common.size(), 1);
    size_t axis = size_t(axes.index_batch[k]);
    along[axis] = common[axis];
    enter(iota(along, Dtype::int64), common[axis]);
  }
  for (size_t k = 0; k < axes.indexed.size(); ++k) {
    int64_t n = x[size_t(axes.indexed[k])];
    Array zero = constant(0, Dtype::int64), length = constant(n, Dtype::int64), at = astype(indices[k], Dtype::int64);
    at = where(less(at, zero), add(at, length), at);
    // What is out of range goes nowhere; any place of its own will do.
    Array outside = binary(Opcode::logical_or, less(at, zero), binary(Opcode::greater_equal, at, length));
    enter(where(outside, length, at), n + 1);
  }
  Shape rows{element_count(common)}, single{rows[0]};
  for (size_t i = common.size(); i < updates.ndim(); ++i) {
    rows.push_back(updates.shape()[i]);
    single.push_back(1);
  }
  Array flat = reshape(broadcast_to(place, common), {rows[0]}), order = argsort(flat, 0);
  Array sorted = take(flat, order, 0), factors = take(reshape(updates, rows), order, 0);
  Array zero = constant(0, updates.dtype()), one = constant(1, updates.dtype());
  Shape front(rows.size(), 0), none = front;
  front[0] = 1;
  auto products = [&](bool reverse) {
    // Whether the neighbour on this side goes to the same place.
    Array same = equal(slice_axis(sorted, 0, 1, rows[0]), slice_axis(sorted, 0, 0, rows[0] - 1));
    const int64_t low[] = {reverse ? 0 : 1}, high[] = {reverse ? 1 : 0}, interior[] = {0};
    same = reshape(pad(same, low, high, interior, constant(0, Dtype::bool_)), single);
    Array neighbour = reverse ? slice_axis(factors, 0, 1, rows[0]) : slice_axis(factors, 0, 0, rows[0] - 1);
    neighbour = pad(neighbour, reverse ? none : front, reverse ? front : none, none, zero);
    return linear_recurrence(where(same, neighbour, zero), broadcast_to(where(same, zero, one), rows), 0, reverse);
  };
  Array others = multiply(products(false), products(true));
  return reshape(take(others, argsort(order, 0), 0), updates.shape());
}

constexpr std::string_view mode_names[] = {"set", "add", "multiply", "maximum", "minimum"};

}  // namespace

// ---- gather

void Gather::hash(Hasher& h) const { hash_axes(h, axes_); }
std::string Gather::parameters() const { return describe(axes_); }

Arrays Gather::vjp(const VjpContext& v) const {
  Arrays out(v.inputs.size());
  if (v.needed[0])
    out[0] = scatter(ScatterMode::add, zeros_like(v.inputs[0]), v.cotangents[0], v.inputs.subspan(1), axes_);
  return out;
}

std::optional<Arrays> Gather::jvp(Span inputs, Span tangents, Span) const {
  if (!tangents[0]) return Arrays{Array()};
  return Arrays{gather(tangents[0], inputs.subspan(1), axes_)};
}

Batched Gather::batch(Span inputs, std::span<const bool> batched, int64_t) const {
  if (batched[0])
    return {{gather(inputs[0], batched_indices(inputs.subspan(1), batched.subspan(1), true), with_common_axis(axes_))},
            {true}};
  IndexedAxes axes = axes_;
  for (int& a : axes.index_batch) ++a;
  return {{gather(inputs[0], batched_indices(inputs.subspan(1), batched.subspan(1), false), axes)}, {true}};
}

Array as_indices(const char* op, const Array& indices) {
  Dtype dtype = indices.dtype();
  if (!is_integer(dtype))
    throw ValueError(cat(op, ": indices must be integers, got ", dtype_name(dtype),
                         dtype == Dtype::bool_ ? "; write a boolean mask as x[mask]" : "; convert them with astype"));
  if (dtype == Dtype::int32 || dtype == Dtype::uint32 || dtype == Dtype::int64) return indices;
  if (dtype != Dtype::uint64) return astype(indices, Dtype::int32);
  // The largest ones are out of range, not negative.
  return astype(minimum(indices, constant(std::numeric_limits<int64_t>::max(), dtype)), Dtype::int64);
}

Array gather(const Array& x, Span indices, const IndexedAxes& axes, const char* op) {
  Arrays inputs{x};
  for (const Array& index : indices) inputs.push_back(as_indices(op, index));
  Shape common = index_shape(op, x.shape(), Span(inputs).subspan(1), axes);
  Shape widened = x.shape();
  for (size_t i = 0; i < axes.x_batch.size(); ++i)
    widened[size_t(axes.x_batch[i])] = common[size_t(axes.index_batch[i])];
  inputs[0] = broadcast_to(x, widened);
  Shape shape = with_rest(std::move(common), x.shape(), axes);
  return make_node(Ref<const Primitive>(new Gather(axes)), inputs, std::move(shape), x.dtype());
}

// ---- scatter

void Scatter::hash(Hasher& h) const {
  h.add(int(mode_));
  hash_axes(h, axes_);
}
std::string Scatter::parameters() const { return cat("mode=", mode_names[int(mode_)], ", ", describe(axes_)); }

Arrays Scatter::vjp(const VjpContext& v) const {
  const Array &x = v.inputs[0], &updates = v.inputs[1], &ct = v.cotangents[0], &out = v.outputs[0];
  Span indices = v.inputs.subspan(2);
  Arrays cts(v.inputs.size());
  Shape common = index_shape("scatter", x.shape(), indices, axes_);
  auto read = [&](const Array& from) { return gather(from, indices, axes_); };
  Array zero = constant(0, x.dtype()), one = constant(1, x.dtype());
  // Whether no two updates can meet.
  bool unique = true;
  for (int i = 0; i < int(common.size()); ++i)
    unique = unique && (common[size_t(i)] == 1 || contains(axes_.index_batch, i));

  switch (mode_) {
    case ScatterMode::add:
      cts[0] = ct;
      if (v.needed[1]) cts[1] = read(ct);
      break;

    case ScatterMode::set: {
      if (v.needed[0]) cts[0] = scatter(ScatterMode::set, ct, zero, indices, axes_);
      if (!v.needed[1]) break;
      cts[1] = read(ct);
      if (unique) break;
      // Write the number of each update in its place, in x without the rest: what can be read back is what won.
      IndexedAxes axes = axes_;
      Axes rest = axes_.whole(x.ndim());
      Shape canvas;
      for (int i = 0; i < int(x.ndim()); ++i)
        if (!contains(rest, i)) canvas.push_back(x.shape()[size_t(i)]);
      auto renumber = [&](Axes& list) {
        for (int& a : list) a -= int(std::count_if(rest.begin(), rest.end(), [&](int r) { return r < a; }));
      };
      renumber(axes.indexed);
      renumber(axes.x_batch);
      Array number = iota(common, Dtype::int32);
      Array written = scatter(ScatterMode::set, full(canvas, constant(-1, Dtype::int32)), number, indices, axes);
      Array won = equal(gather(written, indices, axes), number);
      for (size_t i = 0; i < rest.size(); ++i) common.push_back(1);
      cts[1] = where(reshape(won, common), cts[1], zero);
      break;
    }

    case ScatterMode::multiply: {
      auto conjugated = [](const Array& a) { return is_complex(a.dtype()) ? conjugate(a) : a; };
      if (v.needed[0]) cts[0] = scatter(ScatterMode::multiply, ct, conjugated(updates), indices, axes_);
      if (!v.needed[1]) break;
      Array slope = read(x);
      if (!unique) slope = multiply(slope, products_of_other_updates(x.shape(), updates, indices, common, axes_));
      cts[1] = multiply(read(ct), conjugated(slope));
      break;
    }

    case ScatterMode::maximum:
    case ScatterMode::minimum: {
      Array held = astype(equal(x, out), x.dtype());
      Array attained = astype(equal(updates, read(out)), x.dtype());
      Array share = divide(ct, scatter(ScatterMode::add, held, attained, indices, axes_));
      // Where NaN is involved nothing compares equal.
      share = where(unary(Opcode::isnan, out), ct, share);
      if (v.needed[0]) cts[0] = multiply(share, held);
      if (v.needed[1]) cts[1] = multiply(read(share), attained);
      break;
    }
  }
  return cts;
}

std::optional<Arrays> Scatter::jvp(Span inputs, Span tangents, Span) const {
  if (mode_ != ScatterMode::add && mode_ != ScatterMode::set) return std::nullopt;
  if (!tangents[0] && !tangents[1]) return Arrays{Array()};
  Array x = tangents[0] ? tangents[0] : zeros_like(inputs[0]);
  if (!tangents[1] && mode_ == ScatterMode::add) return Arrays{x};
  Array updates = tangents[1] ? tangents[1] : constant(0, x.dtype());
  return Arrays{scatter(mode_, x, updates, inputs.subspan(2), axes_)};
}

Batched Scatter::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  return {{scatter(mode_, with_batch_axis(inputs[0], batched[0], size), with_batch_axis(inputs[1], batched[1], size),
                   batched_indices(inputs.subspan(2), batched.subspan(2), true), with_common_axis(axes_))},
          {true}};
}

Array scatter(ScatterMode mode, const Array& x, const Array& updates, Span indices, const IndexedAxes& axes,
              const char* op) {
  if (is_complex(x.dtype()) && (mode == ScatterMode::maximum || mode == ScatterMode::minimum))
    throw ValueError(cat(op, ": ", mode_names[int(mode)], " is not defined for complex64 arrays"));
  Arrays checked;
  for (const Array& index : indices) checked.push_back(as_indices(op, index));
  Shape common = index_shape(op, x.shape(), checked, axes);
  for (size_t i = 0; i < axes.x_batch.size(); ++i)
    if (common[size_t(axes.index_batch[i])] != x.shape()[size_t(axes.x_batch[i])])
      throw ValueError(cat(op, ": indices of common shape ", common, " do not fit axis ", axes.x_batch[i],
                           " of an array of shape ", x.shape()));
  Shape shape = with_rest(std::move(common), x.shape(), axes);
  Arrays inputs{x, broadcast_to(astype(updates, x.dtype()), shape)};
  inputs.insert(inputs.end(), checked.begin(), checked.end());
  return make_node(Ref<const Primitive>(new Scatter(mode, axes)), inputs, x.shape(), x.dtype());
}

namespace {

bool is_zeros(NodeRef node) {
  while (!node->available() && node->primitive && node->primitive->kind() == Kind::view) node = node->inputs[0];
  double value;
  return node->shape.empty() && known_scalar(Array(std::move(node)), value) && value == 0;
}

const Scatter* as_scattered(const Node& node) {
  auto* made = dynamic_cast<const Scatter*>(node.primitive.get());
  const bool adds = !node.available() && made && made->mode() == ScatterMode::add && is_zeros(node.inputs[0]);
  return adds ? made : nullptr;
}

}  // namespace

bool is_scattered(const Array& x) {
  std::unique_lock past(past_mutex());
  return as_scattered(*x.node());
}

Array add_scattered(Span terms) {
  Array sum = terms[0];
  for (const Array& term : terms.subspan(1)) {
    std::unique_lock past(past_mutex());
    const Scatter* made = as_scattered(*term.node());
    if (!made) {  // computed by now
      past.unlock();
      sum = add(sum, term);
      continue;
    }
    const IndexedAxes axes = made->axes();
    Arrays inputs;
    for (const NodeRef& input : term.node()->inputs) inputs.emplace_back(input);
    past.unlock();
    sum = scatter(ScatterMode::add, sum, inputs[1], Span(inputs).subspan(2), axes);
  }
  return sum;
}

// ---- along one axis

Array take(const Array& x, const Array& indices) { return take(reshape(x, {-1}), indices, 0); }

Array take(const Array& x, const Array& indices, int64_t axis) {
  int at = normalize_axis("take", axis, x.ndim());
  // The axes in front stay in front: they go along with axes of length 1 in front of the indices.
  IndexedAxes axes;
  axes.indexed.push_back(at);
  if (at == 0) return gather(x, Span(&indices, 1), axes, "take");
  Shape shape;
  for (int i = 0; i < at; ++i) {
    axes.x_batch.push_back(i);
    axes.index_batch.push_back(i);
    shape.push_back(1);
  }
  for (int64_t d : indices.shape()) shape.push_back(d);
  Array aligned = reshape(indices, shape);
  return gather(x, Span(&aligned, 1), axes, "take");
}

IndexedAxes along_axis(int axis, size_t rank) {
  IndexedAxes axes;
  axes.indexed.push_back(axis);
  for (int i = 0; i < int(rank); ++i) {
    if (i == axis) continue;
    axes.x_batch.push_back(i);
    axes.index_batch.push_back(i);
  }
  return axes;
}

Array take_along_axis(const Array& x, const Array& indices, int64_t axis) {
  int at = normalize_axis("take_along_axis", axis, x.ndim());
  if (indices.ndim() != x.ndim())
    throw ValueError(cat("take_along_axis: the indices, of shape ", indices.shape(),
                         ", must have as many axes as the array, of shape ", x.shape()));
  return gather(x, Span(&indices, 1), along_axis(at, x.ndim()), "take_along_axis");
}

Array put_along_axis(const Array& x, const Array& indices, const Array& values, int64_t axis, ScatterMode mode) {
  int at = normalize_axis("put_along_axis", axis, x.ndim());
  if (indices.ndim() != x.ndim())
    throw ValueError(cat("put_along_axis: the indices, of shape ", indices.shape(),
                         ", must have as many axes as the array, of shape ", x.shape()));
  return scatter(mode, x, values, Span(&indices, 1), along_axis(at, x.ndim()), "put_along_axis");
}

}  // namespace funcnn
