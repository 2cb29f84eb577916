#include "ops/join.h"

#include <algorithm>

#include "base/error.h"
#include "base/saturating.h"
#include "ops/elementwise.h"
#include "ops/rules.h"
#include "ops/views.h"

namespace funcnn {

Arrays Concatenate::vjp(const VjpContext& v) const {
  Arrays out(v.inputs.size());
  int64_t at = 0;
  for (size_t i = 0; i < v.inputs.size(); ++i) {
    int64_t length = v.inputs[i].dim(axis_);
    if (v.needed[i]) out[i] = slice_axis(v.cotangents[0], axis_, at, at + length);
    at += length;
  }
  return out;
}

std::optional<Arrays> Concatenate::jvp(Span inputs, Span tangents, Span) const {
  Arrays parts;
  for (size_t i = 0; i < inputs.size(); ++i) parts.push_back(tangents[i] ? tangents[i] : zeros_like(inputs[i]));
  return Arrays{concatenate(parts, axis_)};
}

Batched Concatenate::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  Arrays parts;
  for (size_t i = 0; i < inputs.size(); ++i) parts.push_back(with_batch_axis(inputs[i], batched[i], size));
  return {{concatenate(parts, axis_ + 1)}, {true}};
}

Array concatenate(Span arrays, int64_t axis) {
  if (arrays.empty()) throw ValueError("concatenate: expected at least one array");
  const Shape& first = arrays[0].shape();
  int at = normalize_axis("concatenate", axis, first.size());
  Dtype dtype = arrays[0].dtype();
  Shape shape = first;
  for (const Array& x : arrays.subspan(1)) {
    bool fits = x.ndim() == first.size();
    for (int i = 0; fits && i < int(first.size()); ++i) fits = i == at || x.shape()[size_t(i)] == first[size_t(i)];
    if (!fits)
      throw ValueError(cat("concatenate: shapes ", first, " and ", x.shape(),
                           " must have the same rank and agree except along axis ", at));
    dtype = promote_types(dtype, x.dtype());
    shape[size_t(at)] = saturating_add(shape[size_t(at)], x.shape()[size_t(at)]);
  }
  Arrays parts;
  for (const Array& x : arrays)
    if (x.shape()[size_t(at)] != 0) parts.push_back(astype(x, dtype));
  if (parts.empty()) return astype(arrays[0], dtype);
  if (parts.size() == 1) return parts[0];
  return make_node(Ref<const Primitive>(new Concatenate(at)), parts, std::move(shape), dtype);
}

Array stack(Span arrays, int64_t axis) {
  if (arrays.empty()) throw ValueError("stack: expected at least one array");
  const int64_t at[] = {normalize_axis("stack", axis, arrays[0].ndim() + 1)};
  Arrays parts;
  for (const Array& x : arrays) {
    if (x.shape() != arrays[0].shape())
      throw ValueError(cat("stack: all arrays must have the same shape, got ", arrays[0].shape(), " and ", x.shape()));
    parts.push_back(expand_dims(x, at));
  }
  return concatenate(parts, at[0]);
}

Arrays split(const Array& x, int64_t parts, int64_t axis) {
  int at = normalize_axis("split", axis, x.ndim());
  int64_t length = x.dim(at);
  if (parts <= 0 || length % parts != 0)
    throw ValueError(cat("split: axis ", axis, " of length ", length, " cannot be split into ", parts, " equal parts"));
  Arrays out;
  for (int64_t i = 0; i < parts; ++i)
    out.push_back(slice_axis(x, at, i * (length / parts), (i + 1) * (length / parts)));
  return out;
}

Arrays split_at(const Array& x, std::span<const int64_t> indices, int64_t axis) {
  int at = normalize_axis("split", axis, x.ndim());
  int64_t length = x.dim(at), begin = 0;
  Arrays out;
  for (size_t i = 0; i <= indices.size(); ++i) {
    int64_t end = i == indices.size() ? length : indices[i] < 0 ? indices[i] + length : indices[i];
    end = std::clamp<int64_t>(end, 0, length);
    out.push_back(slice_axis(x, at, begin, std::max(begin, end)));
    begin = end;
  }
  return out;
}

namespace {

Array border_repeated(const Array& x, int axis, int64_t low, int64_t high) {
  Arrays parts;
  auto border = [&](int64_t at, int64_t count) {
    Shape shape = x.shape();
    shape[size_t(axis)] = count;
    if (count > 0) parts.push_back(broadcast_to(slice_axis(x, axis, at, at + 1), shape));
  };
  border(0, low);
  parts.push_back(x);
  border(x.dim(axis) - 1, high);
  return concatenate(parts, axis);
}

// What goes on beyond the ends has whole periods inside, so each round can take as many of them as there are by then.
Array continued(Array x, int axis, int64_t low, int64_t high, PadMode mode) {
  int64_t shared = mode == PadMode::reflect;  // the element at which it is mirrored
  int64_t period = x.dim(axis) - shared;
  const int64_t axes[] = {axis};
  while (low > 0 || high > 0) {
    int64_t n = x.dim(axis), whole = (n - shared) / period * period;
    int64_t before = std::min(low, whole), after = std::min(high, whole);
    Arrays parts;
    if (mode == PadMode::wrap) {
      parts = {slice_axis(x, axis, whole - before, whole), x, slice_axis(x, axis, n - whole, n - whole + after)};
    } else {
      parts = {flip(slice_axis(x, axis, shared, shared + before), axes), x,
               flip(slice_axis(x, axis, n - shared - after, n - shared), axes)};
    }
    x = concatenate(parts, axis);
    low -= before;
    high -= after;
  }
  return x;
}

}  // namespace

Array pad_from_within(const Array& x, std::span<const int64_t> low, std::span<const int64_t> high, PadMode mode) {
  if (low.size() != x.ndim() || high.size() != x.ndim())
    throw ValueError(cat("pad: expected widths for each of the ", x.ndim(), " axes of an array of shape ", x.shape()));
  Array out = x;
  for (size_t i = 0; i < x.ndim(); ++i) {
    if (low[i] < 0 || high[i] < 0)
      throw ValueError(cat("pad: widths must not be negative, got ", std::min(low[i], high[i])));
    if (low[i] == 0 && high[i] == 0) continue;
    int axis = int(i);
    int64_t n = out.dim(axis);
    if (n == 0)
      throw ValueError(cat("pad: axis ", i, " of an array of shape ", x.shape(),
                           " is empty, so there is nothing to go on with beyond it; use mode 'constant'"));
    out = mode == PadMode::edge || n == 1 ? border_repeated(out, axis, low[i], high[i])
                                          : continued(out, axis, low[i], high[i], mode);
  }
  return out;
}

Array repeat(const Array& x, int64_t count, std::optional<int64_t> axis) {
  if (count < 0) throw ValueError(cat("repeat: the count must not be negative, got ", count));
  if (!axis) return repeat(reshape(x, {x.size()}), count, 0);
  int at = normalize_axis("repeat", *axis, x.ndim());
  const int64_t inner[] = {at + 1};
  Array wide = expand_dims(x, inner);
  Shape shape = wide.shape(), out = x.shape();
  shape[size_t(at) + 1] = count;
  out[size_t(at)] *= count;
  return reshape(broadcast_to(wide, shape), out);
}

Array tile(const Array& x, std::span<const int64_t> counts) {
  size_t rank = std::max(x.ndim(), counts.size());
  Shape single, repeated, out;
  for (size_t i = 0; i < rank; ++i) {
    int64_t n = i + x.ndim() >= rank ? x.shape()[i + x.ndim() - rank] : 1;
    int64_t count = i + counts.size() >= rank ? counts[i + counts.size() - rank] : 1;
    if (count < 0) throw ValueError(cat("tile: counts must not be negative, got ", count));
    single.push_back(1);
    single.push_back(n);
    repeated.push_back(count);
    repeated.push_back(n);
    out.push_back(n * count);
  }
  return reshape(broadcast_to(reshape(x, single), repeated), out);
}

Array roll(const Array& x, std::span<const int64_t> shifts, std::span<const int64_t> axes) {
  if (shifts.size() != axes.size())
    throw ValueError(cat("roll: expected a shift for each axis, got ", shifts.size(), " and ", axes.size()));
  Array out = x;
  for (size_t i = 0; i < axes.size(); ++i) {
    int axis = normalize_axis("roll", axes[i], x.ndim());
    int64_t n = x.dim(axis);
    if (n == 0) continue;
    int64_t shift = ((shifts[i] % n) + n) % n;
    if (shift == 0) continue;
    const Array parts[] = {slice_axis(out, axis, n - shift, n), slice_axis(out, axis, 0, n - shift)};
    out = concatenate(parts, axis);
  }
  return out;
}

Array roll(const Array& x, int64_t shift) {
  const int64_t shifts[] = {shift}, axes[] = {0};
  return reshape(roll(reshape(x, {x.size()}), shifts, axes), x.shape());
}

}  // namespace funcnn
