#include "ops/reinterpret.h"

#include <cstdlib>

#include "base/error.h"
#include "graph/integers.h"
#include "ops/create.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "ops/reduce.h"
#include "ops/views.h"

namespace funcnn {
namespace {

// Pairs of numbers and complex numbers are the same vector space; any other change of a float's bits has no slope.
bool linear(Dtype from, Dtype to) {
  return (from == Dtype::float32 && to == Dtype::complex64) || (from == Dtype::complex64 && to == Dtype::float32);
}

class AsStrided final : public Primitive {
 public:
  AsStrided(Shape shape, Strides strides, int64_t offset)
      : shape_(std::move(shape)), strides_(std::move(strides)), offset_(offset) {}
  std::string_view name() const override { return "as_strided"; }
  Kind kind() const override { return Kind::view; }
  void hash(Hasher& h) const override {
    h.add(strides_);
    h.add(offset_);
  }
  std::string parameters() const override {
    return cat("shape=", shape_, ", strides=", strides_, ", offset=", offset_);
  }
  std::optional<Arrays> jvp(Span, Span tangents, Span) const override {
    return Arrays{tangents[0] ? as_strided(tangents[0], shape_, strides_, offset_) : Array()};
  }
  // Each element of x gets the cotangents of all places that show it.
  Arrays vjp(const VjpContext& v) const override {
    const Array& x = v.inputs[0];
    Array ct = v.cotangents[0];
    // What a stride of 0 repeats is added up first.
    Axes repeated;
    for (size_t i = 0; i < shape_.size(); ++i)
      if (strides_[i] == 0 && shape_[i] != 1) repeated.push_back(int(i));
    if (!repeated.empty()) ct = reduce(ReduceOp::sum, ct, repeated, true);
    Array places = constant(offset_, Dtype::int64);
    for (size_t i = 0; i < shape_.size(); ++i) {
      if (strides_[i] == 0 || shape_[i] == 1) continue;
      Shape along(shape_.size(), 1);
      along[i] = shape_[i];
      places = add(places, multiply(iota(along, Dtype::int64), constant(strides_[i], Dtype::int64)));
    }
    Array flat = zeros(Shape{x.size()}, ct.dtype());
    IndexedAxes first{{0}, {}, {}};
    if (element_count(shape_) > 0) {
      Array at = broadcast_to(places, ct.shape());
      flat = scatter(ScatterMode::add, flat, ct, Span(&at, 1), first);
    }
    return {reshape(flat, x.shape())};
  }
  Batched batch(Span inputs, std::span<const bool>, int64_t size) const override {
    Shape shape{size};
    Strides strides{inputs[0].size() / std::max<int64_t>(size, 1)};
    for (size_t i = 0; i < shape_.size(); ++i) {
      shape.push_back(shape_[i]);
      strides.push_back(strides_[i]);
    }
    return {{as_strided(inputs[0], shape, strides, offset_)}, {true}};
  }
  bool view(const Shape& in, const Strides& strides, int64_t offset, const Shape&, Strides& out_strides,
            int64_t& out_offset) const override {
    if (!is_contiguous(in, strides)) return false;
    out_strides = strides_;
    out_offset = offset + offset_;
    return true;
  }

 private:
  Shape shape_;
  Strides strides_;
  int64_t offset_;
};

}  // namespace

Array view_as(const Array& x, Dtype dtype) {
  if (x.dtype() == dtype) return x;
  int64_t from = int64_t(item_size(x.dtype())), to = int64_t(item_size(dtype));
  Shape shape = x.shape();
  if (from != to) {
    if (shape.empty())
      throw ValueError(cat("view: an array of no axes keeps the size of its elements, ", from, " bytes of ", x.dtype(),
                           "; ", dtype, " takes ", to));
    if (shape.back() * from % to != 0)
      throw ValueError(cat("view: the last axis of an array of shape ", x.shape(), " has ", shape.back() * from,
                           " bytes of ", x.dtype(), ", which is no whole number of ", dtype, " (", to, " bytes)"));
    shape.back() = shape.back() * from / to;
  }
  return make_node(Ref<const Primitive>(new ViewAs(dtype)), Span(&x, 1), std::move(shape), dtype);
}

Arrays ViewAs::vjp(const VjpContext& v) const {
  Dtype from = v.inputs[0].dtype();
  if (!has_derivative(from) || !has_derivative(dtype_)) return {Array()};
  if (!linear(from, dtype_)) throw_not_differentiable(*this, "the bits of a number have no slope");
  return {view_as(v.cotangents[0], from)};
}

std::optional<Arrays> ViewAs::jvp(Span inputs, Span tangents, Span) const {
  Dtype from = inputs[0].dtype();
  if (!tangents[0] || !has_derivative(from) || !has_derivative(dtype_)) return Arrays{Array()};
  if (!linear(from, dtype_)) throw_not_differentiable(*this, "the bits of a number have no slope");
  return Arrays{view_as(tangents[0], dtype_)};
}

Batched ViewAs::batch(Span inputs, std::span<const bool>, int64_t) const {
  return {{view_as(inputs[0], dtype_)}, {true}};
}

Array as_strided(const Array& x, const Shape& shape, const Strides& strides, int64_t offset) {
  if (shape.size() != strides.size())
    throw ValueError(cat("as_strided: expected a stride for each axis, got shape ", shape, " and strides ", strides));
  bool empty = false;
  for (int64_t d : shape) {
    if (d < 0) throw ValueError(cat("as_strided: lengths cannot be negative, got shape ", shape));
    empty = empty || d == 0;
  }
  // The first and last element named, without overflow: no step that counts is longer than x.
  int64_t size = x.size(), low = offset, high = offset;
  bool inside = offset >= 0 && offset < size;
  for (size_t i = 0; inside && i < shape.size(); ++i) {
    if (shape[i] <= 1 || strides[i] == 0) continue;
    int64_t steps = shape[i] - 1;
    inside = strides[i] > -size && strides[i] < size && steps < size && steps <= size / std::abs(strides[i]);
    if (!inside) break;
    (strides[i] > 0 ? high : low) += steps * strides[i];
    inside = low >= 0 && high < size;
  }
  if (!inside && !empty)
    throw ValueError(cat("as_strided: shape ", shape, ", strides ", strides, " and offset ", offset, " leave the ",
                         size, " elements of an array of shape ", x.shape()));
  if (empty) return zeros(shape, x.dtype());
  return make_node(Ref<const Primitive>(new AsStrided(shape, strides, offset)), Span(&x, 1), shape, x.dtype());
}

}  // namespace funcnn
