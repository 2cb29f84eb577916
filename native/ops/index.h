// Index expressions as NumPy has them: x[2, ::-1, None, ..., rows, mask].
#pragma once

#include <optional>
#include <span>

#include "graph/array.h"
#include "graph/primitive.h"

namespace funcnn {

// One item between the brackets.
struct IndexItem {
  enum class Kind : uint8_t {
    integer,   // one position; negative counts from the end
    slice,     // Python's slice, its ends as they were written
    ellipsis,  // as many whole axes as are missing
    newaxis,   // a new axis of length 1
    array,     // integer positions; several arrays broadcast against each other
    mask,      // a bool array that covers as many axes as it has; one without axes takes x whole or not at all
  };
  Kind kind = Kind::slice;
  int64_t value = 0;
  std::optional<int64_t> start = {}, stop = {}, step = {};
  Array array = {};
  std::optional<int64_t> length = {};  // positions that stand for a mask: of the axis it covered
  bool fresh = false;                  // positions that stand for a mask without axes: on a new axis of length 1

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
// zero, or with `clip` the nearest element. Masks must have been replaced by positions: raises ValueError.
Array index(const Array& x, std::span<const IndexItem> items, bool clip = false);

// The items with each mask, which must be computed, replaced by the positions where it is true.
std::vector<IndexItem> resolve_masks(std::span<const IndexItem> items);

enum class UpdateMode : uint8_t { set, add, subtract, multiply, divide, power, maximum, minimum };
// x and values by the mode, of the dtype that they promote to.
Array combined(UpdateMode mode, const Array& x, const Array& values);

// x.at[items].mode(values): x with its part x[items] combined with `values`, which are broadcast to the part's shape
// and converted to x's dtype. Places named several times take each value in turn (see ops/gather.h). A mask that is the
// only item beside whole axes may be traced; of values that differ by element it takes the first, second, ... in order.
// Other masks must have been replaced by positions. Where the number of these values is not that of the true elements,
// it raises ValueError: at once if the mask is computed, else when the result is.
Array update_at(UpdateMode mode, const Array& x, std::span<const IndexItem> items, const Array& values);
// Whether update_at takes these items with their mask as it is.
bool takes_mask(std::span<const IndexItem> items);
// Whether update_at, given these items, must count the true elements of their mask.
bool counts_mask(const Array& x, std::span<const IndexItem> items, const Array& values);

// x with its elements under the mask, which covers the first axes of x, replaced by `rows`, the first row first. `rows`
// has x's dtype and one axis besides those that broadcast to the last axes of x. Where there are too few rows,
// computing the result raises an error; where there are more than are needed, the rest is left.
Array fill_masked(const Array& x, const Array& mask, const Array& rows);

[[noreturn]] void throw_mask_count(int64_t given, int64_t count);
// The same where `count` true elements are not the `given` ones, or (`at_most`) more.
void check_mask_count(int64_t given, bool at_most, int64_t count);

// The number of true elements before each element of a mask, as int32, raising an error where there are not `count` of
// them in all, or (`at_most`) more. Input: bool (batch..., n); every row is counted alone.
class MaskOrder final : public Primitive {
 public:
  explicit MaskOrder(int64_t count, bool at_most = false) : count_(count), at_most_(at_most) {}
  std::string_view name() const override { return "mask_order"; }
  void hash(Hasher& h) const override {
    h.add(count_);
    h.add(at_most_);
  }
  std::string parameters() const override { return (at_most_ ? "at_most=" : "count=") + std::to_string(count_); }
  Arrays vjp(const VjpContext&) const override { return {Array()}; }
  std::optional<Arrays> jvp(Span, Span, Span) const override { return Arrays{Array()}; }
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  int64_t count() const { return count_; }
  bool at_most() const { return at_most_; }

 private:
  int64_t count_;
  bool at_most_;
};

}  // namespace funcnn
