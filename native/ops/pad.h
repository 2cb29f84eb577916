// Elements spread into a larger array: the transpose of slicing.
#pragma once

#include <span>

#include "graph/array.h"
#include "graph/primitive.h"

namespace funcnn {

// `low` elements of `value` (0-d) before, `high` after and `interior` between the elements of each axis. None negative.
Array pad(const Array& x, std::span<const int64_t> low, std::span<const int64_t> high,
          std::span<const int64_t> interior, const Array& value);

// a + b where both are paddings with zero of parts that lie side by side, as the cotangents of the parts of a split
// are: the parts joined. Null if they are not.
Array join_padded(const Array& a, const Array& b);

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
  Array take_back(const Array& padded, const Shape& shape) const;

  Shape low_, high_, interior_;
};

}  // namespace funcnn
