// What an index expression does to each axis of an array: shared by reading (index.cpp) and updates (update.cpp).
#pragma once

#include <vector>

#include "ops/gather.h"
#include "ops/index.h"

namespace funcnn {

using ItemKind = IndexItem::Kind;

// What happens to one axis of x, or a new axis.
struct IndexEntry {
  ItemKind kind;  // an ellipsis is a mark between others
  int axis = -1;
  int64_t start = 0, step = 1, length = 1;  // integer: where; slice: as computed
  Array array = {};
  bool advanced() const { return kind == ItemKind::integer || kind == ItemKind::array; }
};

struct IndexExpression {
  std::vector<IndexEntry> entries;  // in order; an entry for each axis of x (a mask stands for several)
  bool arrays = false, masks = false;
};

IndexExpression parse_index(const Array& x, std::span<const IndexItem> items);

// x with an axis of length 1 for each item that addresses one which x lacks.
Array with_index_axes(const Array& x, std::span<const IndexItem> items);

[[noreturn]] void throw_unknown_mask();

// Where the axes addressed by arrays come out: behind so many entries if they stand together, else in front.
size_t lead_entries(const std::vector<IndexEntry>& entries);

// Indices given axes of length 1 in front: `lead` that go along with axes of x, and what they lack to the common rank.
Arrays align_indices(const Arrays& indices, int lead);

// `indexed` axes behind `lead` axes that go along with the first ones of the indices.
IndexedAxes with_lead(Axes indexed, int lead);

// The ranges of x that slices and integers leave.
struct IndexRanges {
  Shape start, step, length;
  IndexRanges(const Array& x, const std::vector<IndexEntry>& entries);
  Array read(const Array& x) const;
};

}  // namespace funcnn
