// Arrays put together, taken apart and repeated.
#pragma once

#include <optional>
#include <span>

#include "graph/array.h"
#include "graph/primitive.h"

namespace funcnn {

// Operands are promoted to a common dtype; shapes agree except along the axis.
Array concatenate(Span arrays, int64_t axis);
Array stack(Span arrays, int64_t axis);
// Equal parts, or parts that begin at 0 and at each of `indices` (clipped to the axis).
Arrays split(const Array& x, int64_t parts, int64_t axis);
Arrays split_at(const Array& x, std::span<const int64_t> indices, int64_t axis);
// How an array goes on beyond its ends: its border repeated, mirrored at its last element or beyond it, or from its
// other end. (Constant padding: ops/pad.h.)
enum class PadMode { edge, reflect, symmetric, wrap };
Array pad_from_within(const Array& x, std::span<const int64_t> low, std::span<const int64_t> high, PadMode mode);
// Every element `count` times; without an axis, of the flattened array.
Array repeat(const Array& x, int64_t count, std::optional<int64_t> axis);
Array tile(const Array& x, std::span<const int64_t> counts);
// Elements moved on by `shifts` along `axes`, round the end; without axes, in the flattened array.
Array roll(const Array& x, std::span<const int64_t> shifts, std::span<const int64_t> axes);
Array roll(const Array& x, int64_t shift);

class Concatenate final : public Primitive {
 public:
  explicit Concatenate(int axis) : axis_(axis) {}
  std::string_view name() const override { return "concatenate"; }
  bool only_moves() const override { return true; }
  void hash(Hasher& h) const override { h.add(axis_); }
  std::string parameters() const override { return "axis=" + std::to_string(axis_); }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  int axis() const { return axis_; }

 private:
  int axis_;
};

}  // namespace funcnn
