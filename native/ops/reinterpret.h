// The same memory read otherwise: the bits of elements as another dtype, and elements at strides of one's own.
#pragma once

#include <optional>
#include <span>

#include "graph/primitive.h"

namespace funcnn {

// The bytes of x, in row-major order, as elements of another dtype. Where it is of another size, the last axis becomes
// longer or shorter. As bool, bytes other than zero are true.
Array view_as(const Array& x, Dtype dtype);

// Elements of x, taken as dense in row-major order: number offset + i * strides[0] + j * strides[1] + ... at (i, j,
// ...). They may overlap; all lie within x, or it raises ValueError.
Array as_strided(const Array& x, const Shape& shape, const Strides& strides, int64_t offset);

// Input: x, whose last axis is as long as the output's, or so many elements go into one or are one.
class ViewAs final : public Primitive {
 public:
  explicit ViewAs(Dtype dtype) : dtype_(dtype) {}
  std::string_view name() const override { return "view"; }
  bool only_moves() const override { return true; }
  void hash(Hasher& h) const override { h.add(int(dtype_)); }
  std::string parameters() const override { return std::string(dtype_name(dtype_)); }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;

 private:
  Dtype dtype_;
};

}  // namespace funcnn
