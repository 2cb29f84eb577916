#include "ops/index.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "ops/create.h"
#include "ops/cumulative.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "ops/rules.h"
#include "ops/slice_update.h"
#include "ops/views.h"

namespace funcnn {
namespace {

using ItemKind = IndexItem::Kind;

bool is_whole(const IndexItem& item) {
  if (item.kind == ItemKind::ellipsis) return true;
  return item.kind == ItemKind::slice && item.start.value_or(0) == 0 && item.step.value_or(1) == 1 &&
         item.stop.value_or(std::numeric_limits<int64_t>::max()) == std::numeric_limits<int64_t>::max();
}

// What happens to one axis of x, or a new axis.
struct Entry {
  ItemKind kind;  // an ellipsis is a mark between others
  int axis = -1;
  int64_t start = 0, step = 1, length = 1;  // integer: where; slice: as computed
  Array array = {};
  bool advanced() const { return kind == ItemKind::integer || kind == ItemKind::array; }
};

// The start, step and length of Python's slice over an axis.
Entry resolve_slice(const IndexItem& item, int axis, int64_t n) {
  int64_t step = item.step.value_or(1);
  if (step == 0) throw ValueError("index: a slice step must not be zero");
  auto clip = [&](int64_t i) {
    if (i < 0) i += n;
    return step > 0 ? std::clamp<int64_t>(i, 0, n) : std::clamp<int64_t>(i, -1, n - 1);
  };
  int64_t start = item.start ? clip(*item.start) : step > 0 ? 0 : n - 1;
  int64_t stop = item.stop ? clip(*item.stop) : step > 0 ? n : -1;
  int64_t span = step > 0 ? stop - start : start - stop;
  int64_t size = step > 0 ? step : -step;
  Entry entry{ItemKind::slice, axis};
  entry.length = span > 0 ? (span - 1) / size + 1 : 0;
  entry.start = entry.length ? start : 0;
  entry.step = entry.length > 1 ? step : 1;
  return entry;
}

struct Expression {
  std::vector<Entry> entries;  // in order; an entry for each axis of x (a mask stands for several)
  bool arrays = false, masks = false;
};

[[noreturn]] void throw_mask_mismatch(const Shape& mask, const Array& x, int axis) {
  throw IndexError(
      cat("index: a mask of shape ", mask, " does not match an array of shape ", x.shape(), " at axis ", axis));
}

Expression parse(const Array& x, std::span<const IndexItem> items) {
  int rank = int(x.ndim()), used = 0, ellipses = 0;
  for (const IndexItem& item : items) {
    if (item.kind == ItemKind::ellipsis)
      ++ellipses;
    else if (item.kind == ItemKind::mask)
      used += int(item.array.ndim());
    else if (item.kind != ItemKind::newaxis)
      ++used;
  }
  if (ellipses > 1) throw IndexError("index: an index can have only one ellipsis (...)");
  if (used > rank) throw IndexError(cat("index: too many indices: ", used, " for an array of shape ", x.shape()));
  Expression out;
  int axis = 0;
  auto whole = [&](int count) {
    for (; count > 0; --count, ++axis) out.entries.push_back(resolve_slice(IndexItem(), axis, x.shape()[size_t(axis)]));
  };
  for (const IndexItem& item : items) {
    if (item.kind == ItemKind::ellipsis) {
      out.entries.push_back({ItemKind::ellipsis});
      whole(rank - used);
      continue;
    }
    if (item.kind == ItemKind::newaxis) {
      out.entries.push_back({ItemKind::newaxis});
      continue;
    }
    if (item.kind == ItemKind::mask) {
      for (size_t i = 0; i < item.array.ndim(); ++i)
        if (item.array.shape()[i] != x.shape()[size_t(axis) + i]) throw_mask_mismatch(item.array.shape(), x, axis);
      out.entries.push_back({.kind = ItemKind::mask, .axis = axis, .array = item.array});
      out.masks = true;
      axis += int(item.array.ndim());
      continue;
    }
    int64_t n = x.shape()[size_t(axis)];
    if (item.kind == ItemKind::integer) {
      int64_t i = item.value < 0 ? item.value + n : item.value;
      if (i < 0 || i >= n)
        throw IndexError(cat("index: ", item.value, " is out of range for axis ", axis, " of length ", n));
      out.entries.push_back({.kind = ItemKind::integer, .axis = axis, .start = i});
    } else if (item.kind == ItemKind::array) {
      if (item.length && *item.length != n) throw_mask_mismatch({*item.length}, x, axis);
      out.entries.push_back(
          {.kind = ItemKind::array, .axis = axis, .length = n, .array = as_indices("index", item.array)});
      out.arrays = true;
    } else {
      out.entries.push_back(resolve_slice(item, axis, n));
    }
    ++axis;
  }
  whole(rank - axis);
  return out;
}

[[noreturn]] void refuse_mask() {
  throw ValueError(
      "index: reading through a boolean mask, or combining one with other indices, needs the mask's values; use "
      "fn.where "
      "instead");
}

// Where the axes addressed by arrays come out: behind `lead` entries if they stand together, else in front.
size_t lead_entries(const std::vector<Entry>& entries) {
  size_t first = entries.size(), last = 0;
  for (size_t i = 0; i < entries.size(); ++i)
    if (entries[i].advanced()) {
      first = std::min(first, i);
      last = i;
    }
  for (size_t i = first; i <= last && i < entries.size(); ++i)
    if (!entries[i].advanced()) return 0;
  return first;
}

// Indices given axes of length 1 in front: `lead` that go along with axes of x, and what they lack to the common rank.
Arrays align_indices(const Arrays& indices, int lead) {
  size_t rank = 0;
  for (const Array& index : indices) rank = std::max(rank, index.ndim());
  Arrays out;
  for (const Array& index : indices) {
    Shape shape(size_t(lead) + rank - index.ndim(), 1);
    for (int64_t d : index.shape()) shape.push_back(d);
    out.push_back(lead ? reshape(index, shape) : index);
  }
  return out;
}

IndexedAxes with_lead(Axes indexed, int lead) {
  IndexedAxes axes{std::move(indexed), {}, {}};
  for (int i = 0; i < lead; ++i) {
    axes.x_batch.push_back(i);
    axes.index_batch.push_back(i);
  }
  return axes;
}

// The ranges of x that slices and integers leave.
struct Ranges {
  Shape start, step, length;
  Ranges(const Array& x, const std::vector<Entry>& entries) : start(x.ndim(), 0), step(x.ndim(), 1), length(x.shape()) {
    for (const Entry& e : entries) {
      if (e.kind != ItemKind::slice && e.kind != ItemKind::integer) continue;
      start[size_t(e.axis)] = e.start;
      step[size_t(e.axis)] = e.step;
      length[size_t(e.axis)] = e.length;
    }
  }
  Array read(const Array& x) const {
    Shape stop;
    for (size_t i = 0; i < start.size(); ++i) {
      int64_t past = start[i] + length[i] * step[i];
      stop.push_back(length[i] ? std::max<int64_t>(past, -1) : start[i]);
    }
    return slice(x, start, stop, step);
  }
};

}  // namespace

IndexItem IndexItem::of(Array array) {
  ItemKind kind = array.dtype() == Dtype::bool_ ? ItemKind::mask : ItemKind::array;
  return {.kind = kind, .array = std::move(array)};
}

Array index(const Array& x, std::span<const IndexItem> items) {
  Expression parsed = parse(x, items);
  if (parsed.masks) refuse_mask();
  Array part = Ranges(x, parsed.entries).read(x);
  Shape shape;
  Axes indexed;
  Arrays indices;
  int lead = 0;
  size_t lead_end = parsed.arrays ? lead_entries(parsed.entries) : 0;
  for (size_t i = 0; i < parsed.entries.size(); ++i) {
    const Entry& e = parsed.entries[i];
    if (i == lead_end) lead = int(shape.size());
    if (e.kind == ItemKind::integer || e.kind == ItemKind::ellipsis) continue;
    if (e.kind == ItemKind::array) {
      indexed.push_back(int(shape.size()));
      indices.push_back(e.array);
    }
    shape.push_back(e.length);
  }
  part = reshape(part, shape);
  if (!parsed.arrays) return part;
  return gather(part, align_indices(indices, lead), with_lead(std::move(indexed), lead));
}

std::vector<IndexItem> resolve_masks(std::span<const IndexItem> items) {
  std::vector<IndexItem> out;
  for (const IndexItem& item : items) {
    if (item.kind != ItemKind::mask) {
      out.push_back(item);
      continue;
    }
    const Array& mask = item.array;
    HostElements elements = host_elements(mask);
    if (mask.ndim() == 0) throw IndexError("index: a mask without axes cannot be used here");
    const bool* values = reinterpret_cast<const bool*>(elements.data);
    const Strides& strides = elements.strides;
    size_t rank = mask.ndim();
    // Row-major walk, noting the coordinates of what is true.
    std::vector<std::vector<int32_t>> found(rank);
    Shape at(rank, 0);
    for (int64_t i = 0, n = mask.size(); i < n; ++i) {
      int64_t offset = 0;
      for (size_t d = 0; d < rank; ++d) offset += at[d] * strides[d];
      if (values[offset])
        for (size_t d = 0; d < rank; ++d) found[d].push_back(int32_t(at[d]));
      for (size_t d = rank; d-- > 0;) {
        if (++at[d] < mask.shape()[d]) break;
        at[d] = 0;
      }
    }
    for (size_t d = 0; d < rank; ++d) {
      const std::vector<int32_t>& coordinates = found[d];
      Array positions = empty_array({int64_t(coordinates.size())}, Dtype::int32);
      std::copy(coordinates.begin(), coordinates.end(), fresh_elements<int32_t>(positions));
      positions.node()->device = {};
      out.push_back({.kind = ItemKind::array, .array = positions, .length = mask.shape()[d]});
    }
  }
  return out;
}

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

namespace {

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
      return astype(divide(x, values), x.dtype());
    case UpdateMode::maximum:
      return maximum(x, values);
    case UpdateMode::minimum:
      break;
  }
  return minimum(x, values);
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

Array update_masked(UpdateMode mode, const Array& x, const Expression& parsed, const Array& values) {
  const Entry* entry = nullptr;
  for (const Entry& e : parsed.entries)
    if (e.kind == ItemKind::mask) entry = &e;
  const Array& mask = entry->array;
  size_t lead = size_t(entry->axis), covered = mask.ndim(), trail = x.ndim() - lead - covered;
  // Of the part, whose shape is (leading axes, number of true elements, trailing axes), the length in the middle is
  // taken from the values.
  Shape part(x.shape().begin(), x.shape().begin() + ptrdiff_t(lead));
  int64_t given = values.ndim() > trail ? values.dim(int(values.ndim() - trail) - 1) : 1;
  if (given != 1 && mask.node()->available()) {
    std::vector<IndexItem> positions = resolve_masks(std::vector<IndexItem>{IndexItem::of(mask)});
    part.push_back(positions[0].array.size());
  } else {
    part.push_back(given);
  }
  for (size_t i = 0; i < trail; ++i) part.push_back(x.shape()[lead + covered + i]);
  Array fitted = fit_rank(values, part);
  if (given == 1 || covered == 0) {
    Shape shape = fitted.shape();
    shape.erase(shape.begin() + ptrdiff_t(lead));
    for (size_t i = 0; i < covered; ++i) shape.insert(shape.begin() + ptrdiff_t(lead), 1);
    fitted = reshape(fitted, shape);
  } else {
    // The n-th true element takes the n-th value.
    Array order = cumsum(astype(reshape(mask, {-1}), Dtype::int32), 0, false, false);
    fitted = take(fitted, reshape(order, mask.shape()), int64_t(lead));
  }
  Shape aligned(lead, 1);
  for (int64_t d : mask.shape()) aligned.push_back(d);
  for (size_t i = 0; i < trail; ++i) aligned.push_back(1);
  return where(reshape(mask, aligned), combined(mode, x, fitted), x);
}

Array update_ranges(UpdateMode mode, const Array& x, const Expression& parsed, const Array& values) {
  Shape part, region;
  for (const Entry& e : parsed.entries)
    if (e.kind == ItemKind::newaxis || e.kind == ItemKind::slice) part.push_back(e.length);
  Array fitted = fit_rank(values, part);
  // New axes go, axes that integers took away come back.
  Shape shape;
  size_t at = 0;
  for (const Entry& e : parsed.entries) {
    if (e.kind == ItemKind::newaxis) ++at;
    if (e.kind == ItemKind::newaxis || e.kind == ItemKind::ellipsis) continue;
    shape.push_back(e.kind == ItemKind::integer ? 1 : fitted.shape()[at++]);
    region.push_back(e.length);
  }
  Ranges ranges(x, parsed.entries);
  if (element_count(region) == 0) return x;
  Array fresh =
      mode == UpdateMode::set ? reshape(fitted, shape) : combined(mode, ranges.read(x), reshape(fitted, shape));
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
    case UpdateMode::divide: {
      // Divisors of one place multiply, so that a single one divides exactly.
      Array ones = full(x.shape(), constant(1, x.dtype()));
      return astype(divide(x, scatter(ScatterMode::multiply, ones, values, indices, axes)), x.dtype());
    }
    case UpdateMode::maximum:
      return scatter(ScatterMode::maximum, x, values, indices, axes);
    case UpdateMode::minimum:
      break;
  }
  return scatter(ScatterMode::minimum, x, values, indices, axes);
}

Array update_indexed(UpdateMode mode, const Array& x, const Expression& parsed, const Array& values) {
  // Slices are cut out, updated and put back; integers become index arrays of no axes.
  std::vector<Entry> slices;
  Shape common;
  for (const Entry& e : parsed.entries) {
    if (e.kind == ItemKind::slice) slices.push_back(e);
    if (e.kind == ItemKind::array) common = broadcast_shapes("at", common, e.array.shape());
  }
  Ranges ranges(x, slices);
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
    const Entry& e = parsed.entries[i];
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

Array update_at(UpdateMode mode, const Array& x, std::span<const IndexItem> items, const Array& values) {
  Expression parsed = parse(x, items);
  Array converted = astype(values, x.dtype());
  if (parsed.masks) {
    if (!takes_mask(items)) refuse_mask();
    return update_masked(mode, x, parsed, converted);
  }
  return parsed.arrays ? update_indexed(mode, x, parsed, converted) : update_ranges(mode, x, parsed, converted);
}

}  // namespace funcnn
