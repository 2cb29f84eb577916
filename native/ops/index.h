// Index expressions as NumPy has them: x[2, ::-1, None, ..., rows, mask].
#pragma once

#include <optional>
#include <span>

#include "graph/array.h"

namespace funcnn {

// One item between the brackets.
struct IndexItem {
  enum class Kind : uint8_t {
    integer,   // one position; negative counts from the end
    slice,     // Python's slice, its ends as they were written
    ellipsis,  // as many whole axes as are missing
    newaxis,   // a new axis of length 1
    array,     // integer positions; several arrays broadcast against each other
    mask,      // a bool array that covers as many axes as it has
  };
  Kind kind = Kind::slice;
  int64_t value = 0;
  std::optional<int64_t> start = {}, stop = {}, step = {};
  Array array = {};
  std::optional<int64_t> length = {};  // positions that stand for a mask: of the axis it covered

  static IndexItem integer(int64_t value) { return {.kind = Kind::integer, .value = value}; }
  static IndexItem slice(std::optional<int64_t> start, std::optional<int64_t> stop, std::optional<int64_t> step) {
    return {.kind = Kind::slice, .start = start, .stop = stop, .step = step};
  }
  static IndexItem ellipsis() { return {.kind = Kind::ellipsis}; }
  static IndexItem newaxis() { return {.kind = Kind::newaxis}; }
  // An array of integers, or of bool.
  static IndexItem of(Array array);
};

// x[items]. Without arrays it is a view. Axes addressed by arrays (and integers beside them) come out where they stand
// if they stand together, else in front. Integers out of range raise IndexError; elements of arrays out of range read
// zero. Masks must have been replaced by positions: raises ValueError.
Array index(const Array& x, std::span<const IndexItem> items);

// The items with each mask, which must be computed, replaced by the positions where it is true.
std::vector<IndexItem> resolve_masks(std::span<const IndexItem> items);

enum class UpdateMode : uint8_t { set, add, subtract, multiply, divide, maximum, minimum };

// x.at[items].mode(values): x with its part x[items] combined with `values`, which are broadcast to the part's shape
// and converted to x's dtype. Places named several times take each value in turn (see ops/gather.h). A mask that is the
// only item beside whole axes may be traced; of values that differ by element it takes the first, second, ... in order.
// Other masks must have been replaced by positions.
Array update_at(UpdateMode mode, const Array& x, std::span<const IndexItem> items, const Array& values);
// Whether update_at takes these items with their mask as it is.
bool takes_mask(std::span<const IndexItem> items);

}  // namespace funcnn
