#include "ops/index.h"

#include <algorithm>

#include "base/error.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "ops/index_expression.h"
#include "ops/views.h"

namespace funcnn {

IndexItem IndexItem::of(Array array) {
  ItemKind kind = array.dtype() == Dtype::bool_ ? ItemKind::mask : ItemKind::array;
  return {.kind = kind, .array = std::move(array)};
}

namespace {

// Indices moved into an axis of length n; negative ones count from the end.
Array clipped(const Array& indices, int64_t n) {
  Array wide = astype(indices, Dtype::int64);
  return clip(wide, constant(-n, Dtype::int64), constant(std::max<int64_t>(n - 1, 0), Dtype::int64));
}

}  // namespace

Array index(const Array& array, std::span<const IndexItem> items, bool clip) {
  Array x = with_index_axes(array, items);
  IndexExpression parsed = parse_index(x, items);
  if (parsed.masks) throw_unknown_mask();
  Array part = IndexRanges(x, parsed.entries).read(x);
  Shape shape;
  Axes indexed;
  Arrays indices;
  int lead = 0;
  size_t lead_end = parsed.arrays ? lead_entries(parsed.entries) : 0;
  for (size_t i = 0; i < parsed.entries.size(); ++i) {
    const IndexEntry& e = parsed.entries[i];
    if (i == lead_end) lead = int(shape.size());
    if (e.kind == ItemKind::integer || e.kind == ItemKind::ellipsis) continue;
    if (e.kind == ItemKind::array) {
      indexed.push_back(int(shape.size()));
      indices.push_back(clip ? clipped(e.array, e.length) : e.array);
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
    if (rank == 0) {
      Array first = empty_array({values[0] ? 1 : 0}, Dtype::int32);
      if (values[0]) *fresh_elements<int32_t>(first) = 0;
      first.node()->device = {};
      out.push_back({.kind = ItemKind::array, .array = first, .fresh = true});
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

}  // namespace funcnn
