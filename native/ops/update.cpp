// x.at[index].set and its like.
#include <algorithm>
#include <limits>

#include "base/error.h"
#include "ops/cumulative.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "ops/index_expression.h"
#include "ops/rules.h"
#include "ops/slice_update.h"
#include "ops/views.h"

namespace funcnn {
namespace {

bool is_whole(const IndexItem& item) {
  if (item.kind == ItemKind::ellipsis) return true;
  return item.kind == ItemKind::slice && item.start.value_or(0) == 0 && item.step.value_or(1) == 1 &&
         item.stop.value_or(std::numeric_limits<int64_t>::max()) == std::numeric_limits<int64_t>::max();
}

}  // namespace

bool takes_mask(std::span<const IndexItem> items) {
  int masks = 0;
  for (const IndexItem& item : items) {
    if (item.kind == ItemKind::mask)
      ++masks;
    else if (!is_whole(item))
      return false;
  }
  return masks == 1;
}

Array combined(UpdateMode mode, const Array& x, const Array& values) {
  switch (mode) {
    case UpdateMode::set:
      return values;
    case UpdateMode::add:
      return add(x, values);
    case UpdateMode::subtract:
      return subtract(x, values);
    case UpdateMode::multiply:
      return multiply(x, values);
    case UpdateMode::divide:
      return divide(x, values);
    case UpdateMode::power:
      return power(x, values);
    case UpdateMode::maximum:
      return maximum(x, values);
    case UpdateMode::minimum:
      break;
  }
  return minimum(x, values);
}

namespace {

Array combined_in_place(UpdateMode mode, const Array& x, const Array& values) {
  return astype(combined(mode, x, values), x.dtype());
}

// `values` with exactly as many axes as the part of x that they go to.
Array fit_rank(const Array& values, const Shape& part) {
  Shape shape = values.shape();
  while (shape.size() > part.size() && shape[0] == 1) shape.erase(shape.begin());
  while (shape.size() < part.size()) shape.insert(shape.begin(), 1);
  bool fits = shape.size() == part.size();
  for (size_t i = 0; fits && i < part.size(); ++i) fits = shape[i] == part[i] || shape[i] == 1;
  if (!fits)
    throw ValueError(
        cat("at: values of shape ", values.shape(), " do not broadcast to the indexed part, of shape ", part));
  return reshape(values, shape);
}

// A mask among whole axes, and what it covers of x.
struct Covered {
  const Array& mask;
  size_t lead, count, trail;  // axes of x before, under and after the mask
  Covered(const Array& x, const IndexExpression& parsed) : Covered(x, entry_of(parsed)) {}
  // Of the part, whose shape is (leading axes, number of true elements, trailing axes), the length in the middle that
  // the values have.
  int64_t length_of(const Array& values) const {
    return count > 0 && values.ndim() > trail ? values.dim(int(values.ndim() - trail) - 1) : 1;
  }

 private:
  Covered(const Array& x, const IndexEntry& entry)
      : mask(entry.array), lead(size_t(entry.axis)), count(mask.ndim()), trail(x.ndim() - lead - count) {}
  static const IndexEntry& entry_of(const IndexExpression& parsed) {
    return *std::find_if(parsed.entries.begin(), parsed.entries.end(),
                         [](const IndexEntry& e) { return e.kind == ItemKind::mask; });
  }
};

Array update_masked(UpdateMode mode, const Array& x, const IndexExpression& parsed, const Array& values) {
  Covered covered(x, parsed);
  const Array& mask = covered.mask;
  int64_t given = covered.length_of(values);
  if (given != 1 && (mask.size() == 0 || mask.node()->available())) {
    int64_t count = mask.size() ? resolve_masks(std::vector<IndexItem>{IndexItem::of(mask)})[0].array.size() : 0;
    if (count != given) throw_mask_count(given, count);
  }
  Shape part(x.shape().begin(), x.shape().begin() + ptrdiff_t(covered.lead));
  part.push_back(given);
  for (size_t i = x.ndim() - covered.trail; i < x.ndim(); ++i) part.push_back(x.shape()[i]);
  Array fitted = fit_rank(values, part);
  if (given == 1) {
    Shape shape = fitted.shape();
    shape.erase(shape.begin() + ptrdiff_t(covered.lead));
    for (size_t i = 0; i < covered.count; ++i) shape.insert(shape.begin() + ptrdiff_t(covered.lead), 1);
    fitted = reshape(fitted, shape);
  } else {
    // The n-th true element takes the n-th value.
    Array flat = reshape(mask, {-1});
    Array order = make_node(Ref<const Primitive>(new MaskOrder(given)), Span(&flat, 1), flat.shape(), Dtype::int32);
    fitted = take(fitted, reshape(order, mask.shape()), int64_t(covered.lead));
  }
  Shape aligned(covered.lead, 1);
  for (int64_t d : mask.shape()) aligned.push_back(d);
  for (size_t i = 0; i < covered.trail; ++i) aligned.push_back(1);
  return where(reshape(mask, aligned), combined_in_place(mode, x, fitted), x);
}

Array update_ranges(UpdateMode mode, const Array& x, const IndexExpression& parsed, const Array& values) {
  Shape part, region;
  for (const IndexEntry& e : parsed.entries)
    if (e.kind == ItemKind::newaxis || e.kind == ItemKind::slice) part.push_back(e.length);
  Array fitted = fit_rank(values, part);
  // New axes go, axes that integers took away come back.
  Shape shape;
  size_t at = 0;
  for (const IndexEntry& e : parsed.entries) {
    if (e.kind == ItemKind::newaxis) ++at;
    if (e.kind == ItemKind::newaxis || e.kind == ItemKind::ellipsis) continue;
    shape.push_back(e.kind == ItemKind::integer ? 1 : fitted.shape()[at++]);
    region.push_back(e.length);
  }
  IndexRanges ranges(x, parsed.entries);
  if (element_count(region) == 0) return x;
  Array fresh = mode == UpdateMode::set ? reshape(fitted, shape)
                                        : combined_in_place(mode, ranges.read(x), reshape(fitted, shape));
  return slice_update(x, broadcast_to(fresh, region), ranges.start, ranges.step);
}

Array scatter_by(UpdateMode mode, const Array& x, const Array& values, const Arrays& indices, const IndexedAxes& axes) {
  switch (mode) {
    case UpdateMode::set:
      return scatter(ScatterMode::set, x, values, indices, axes);
    case UpdateMode::add:
      return scatter(ScatterMode::add, x, values, indices, axes);
    case UpdateMode::subtract:
      return scatter(ScatterMode::add, x, negative(values), indices, axes);
    case UpdateMode::multiply:
      return scatter(ScatterMode::multiply, x, values, indices, axes);
    case UpdateMode::divide:
    case UpdateMode::power: {
      // Divisors and exponents of one place multiply, so that a single one divides exactly.
      Array ones = full(x.shape(), constant(1, x.dtype()));
      return combined_in_place(mode, x, scatter(ScatterMode::multiply, ones, values, indices, axes));
    }
    case UpdateMode::maximum:
      return scatter(ScatterMode::maximum, x, values, indices, axes);
    case UpdateMode::minimum:
      break;
  }
  return scatter(ScatterMode::minimum, x, values, indices, axes);
}

Array update_indexed(UpdateMode mode, const Array& x, const IndexExpression& parsed, const Array& values) {
  // Slices are cut out, updated and put back; integers become index arrays of no axes.
  std::vector<IndexEntry> slices;
  Shape common;
  for (const IndexEntry& e : parsed.entries) {
    if (e.kind == ItemKind::slice) slices.push_back(e);
    if (e.kind == ItemKind::array) common = broadcast_shapes("at", common, e.array.shape());
  }
  IndexRanges ranges(x, slices);
  Array target = ranges.read(x);
  size_t lead_end = lead_entries(parsed.entries);
  Shape part;
  Axes indexed, fresh;  // fresh: new axes in the part
  Arrays indices;
  int lead = 0;
  bool placed = false;
  auto place = [&] {
    if (placed) return;
    for (int64_t d : common) part.push_back(d);
    placed = true;
  };
  for (size_t i = 0; i < parsed.entries.size(); ++i) {
    const IndexEntry& e = parsed.entries[i];
    if (i == lead_end) place();
    if (e.kind == ItemKind::newaxis) {
      fresh.push_back(int(part.size()));
      part.push_back(1);
    } else if (e.kind == ItemKind::slice) {
      lead += i < lead_end;
      part.push_back(e.length);
    } else if (e.kind != ItemKind::ellipsis) {
      indexed.push_back(e.axis);
      indices.push_back(e.kind == ItemKind::array ? e.array : constant(e.start, Dtype::int64));
    }
  }
  Array fitted = fit_rank(values, part);
  Shape shape;
  for (int i = 0; i < int(part.size()); ++i)
    if (std::find(fresh.begin(), fresh.end(), i) == fresh.end()) shape.push_back(fitted.shape()[size_t(i)]);
  Array updated = scatter_by(mode, target, reshape(fitted, shape), align_indices(indices, lead),
                             with_lead(std::move(indexed), lead));
  return target == x ? updated : slice_update(x, updated, ranges.start, ranges.step);
}

}  // namespace

void throw_mask_count(int64_t given, int64_t count) {
  throw ValueError(cat("at: ", given, " values for the ", count, " true element", count == 1 ? "" : "s",
                       " of the mask; expected as many, or values that broadcast"));
}

void check_mask_count(int64_t given, bool at_most, int64_t count) {
  if (!at_most && count != given) throw_mask_count(given, count);
  if (at_most && count > given)
    throw Error(cat("x[mask] = values: ", given, " values for the ", count, " true elements of the mask"));
}

Batched MaskOrder::batch(Span inputs, std::span<const bool>, int64_t) const {
  return {{make_node(Ref<const Primitive>(this), inputs, inputs[0].shape(), Dtype::int32)}, {true}};
}

Array fill_masked(const Array& x, const Array& mask, const Array& rows) {
  Shape aligned = mask.shape(), flat{-1};
  for (size_t i = mask.ndim(); i < x.ndim(); ++i) {
    int64_t given = rows.shape()[i - mask.ndim() + 1];
    if (given != 1 && given != x.shape()[i])
      throw ValueError(cat("x[mask] = values: values of shape ", rows.shape(), " do not broadcast to the last ",
                           x.ndim() - mask.ndim(), " axes of shape ", x.shape()));
    aligned.push_back(1);
  }
  Array row = reshape(mask, flat);
  Array order =
      make_node(Ref<const Primitive>(new MaskOrder(rows.dim(0), true)), Span(&row, 1), row.shape(), Dtype::int32);
  return where(reshape(mask, aligned), take(rows, reshape(order, mask.shape()), 0), x);
}

bool counts_mask(const Array& x, std::span<const IndexItem> items, const Array& values) {
  return takes_mask(items) && Covered(x, parse_index(x, items)).length_of(values) != 1;
}

Array update_at(UpdateMode mode, const Array& array, std::span<const IndexItem> items, const Array& values) {
  Array x = with_index_axes(array, items), converted = astype(values, x.dtype());
  IndexExpression parsed = parse_index(x, items);
  if (parsed.masks && !takes_mask(items)) throw_unknown_mask();
  Array updated = parsed.masks    ? update_masked(mode, x, parsed, converted)
                  : parsed.arrays ? update_indexed(mode, x, parsed, converted)
                                  : update_ranges(mode, x, parsed, converted);
  return reshape(updated, array.shape());
}

}  // namespace funcnn
