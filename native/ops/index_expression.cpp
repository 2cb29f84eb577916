#include "ops/index_expression.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "ops/views.h"

namespace funcnn {
namespace {

// The start, step and length of Python's slice over an axis.
IndexEntry resolve_slice(const IndexItem& item, int axis, int64_t n) {
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
  IndexEntry entry{ItemKind::slice, axis};
  entry.length = span > 0 ? (span - 1) / size + 1 : 0;
  entry.start = entry.length ? start : 0;
  entry.step = entry.length > 1 ? step : 1;
  return entry;
}
[[noreturn]] void throw_mask_mismatch(const Shape& mask, const Array& x, int axis) {
  throw IndexError(
      cat("index: a mask of shape ", mask, " does not match an array of shape ", x.shape(), " at axis ", axis));
}

}  // namespace

IndexExpression parse_index(const Array& x, std::span<const IndexItem> items) {
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
  IndexExpression out;
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
Array with_index_axes(const Array& x, std::span<const IndexItem> items) {
  Shape shape = x.shape();
  int64_t axis = 0;
  auto covered = [](const IndexItem& item) -> int64_t {
    if (item.kind == ItemKind::mask) return int64_t(item.array.ndim());
    return item.kind == ItemKind::newaxis || item.kind == ItemKind::ellipsis || item.fresh ? 0 : 1;
  };
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].kind == ItemKind::ellipsis) {
      axis = int64_t(shape.size());
      for (size_t j = i + 1; j < items.size(); ++j) axis -= covered(items[j]);
    }
    if (items[i].fresh) {
      // Beyond the last axis there are too many indices, which parsing says.
      shape.insert(shape.begin() + std::clamp<int64_t>(axis, 0, int64_t(shape.size())), 1);
      ++axis;
    }
    axis += covered(items[i]);
  }
  return reshape(x, shape);
}

void throw_unknown_mask() {
  throw ValueError(
      "index: reading through a boolean mask, or combining one with other indices, needs the mask's values; use "
      "fn.where instead");
}
size_t lead_entries(const std::vector<IndexEntry>& entries) {
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
IndexRanges::IndexRanges(const Array& x, const std::vector<IndexEntry>& entries)
    : start(x.ndim(), 0), step(x.ndim(), 1), length(x.shape()) {
  for (const IndexEntry& e : entries) {
    if (e.kind != ItemKind::slice && e.kind != ItemKind::integer) continue;
    start[size_t(e.axis)] = e.start;
    step[size_t(e.axis)] = e.step;
    length[size_t(e.axis)] = e.length;
  }
}

Array IndexRanges::read(const Array& x) const {
  Shape stop;
  for (size_t i = 0; i < start.size(); ++i) {
    int64_t past = start[i] + length[i] * step[i];
    stop.push_back(length[i] ? std::max<int64_t>(past, -1) : start[i]);
  }
  return slice(x, start, stop, step);
}

}  // namespace funcnn
