// Elements spread into a larger array: the transpose of slicing.
#pragma once

#include <span>

#include "graph/array.h"
#include "graph/primitive.h"

namespace funcnn {

// `low` elements of `value` (0-d) before, `high` after and `interior` between the elements of each axis. None negative.
Array pad(const Array& x, std::span<const int64_t> low, std::span<const int64_t> high,
          std::span<const int64_t> interior, const Array& value);

// Whether an array is a padding with zero that is not computed yet.
bool is_zero_padded(const Array& x);
// The sum of such arrays of one shape and dtype. Parts that lie side by side, as the cotangents of the parts of a split
// do, are joined; many small ones are added each to its place, instead of all to all.
Array add_padded(Span terms);

// Inputs: x, value.
class Pad final : public Primitive {
 public:
  Pad(Shape low, Shape high, Shape interior)
      : low_(std::move(low)), high_(std::move(high)), interior_(std::move(interior)) {}
  std::string_view name() const override { return "pad"; }
  bool only_moves() const override { return true; }
  void hash(Hasher& h) const override;
  std::string parameters() const override;
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;

  const Shape& low() const { return low_; }
  const Shape& high() const { return high_; }
  const Shape& interior() const { return interior_; }

 private:
  Shape low_, high_, interior_;
};

}  // namespace funcnn
