#include "ops/bits.h"

#include "base/error.h"
#include "ops/elementwise.h"
#include "ops/rules.h"
#include "ops/views.h"

namespace funcnn {
namespace {

Shape drawn(const Array& key, const Shape& shape) {
  Shape out(key.shape().begin(), key.shape().end() - 1);
  for (int64_t d : shape) out.push_back(d);
  return out;
}

}  // namespace

// ---- bits

std::string RandomBits::parameters() const { return cat("shape=", shape_, ", width=", width_); }
Arrays RandomBits::vjp(const VjpContext&) const { return {Array()}; }
std::optional<Arrays> RandomBits::jvp(Span, Span, Span) const { return Arrays{Array()}; }
Batched RandomBits::batch(Span inputs, std::span<const bool>, int64_t) const {
  return {{random_bits(inputs[0], shape_, width_)}, {true}};
}

Array random_bits(const Array& key, const Shape& shape, int width) {
  if (width != 1 && width != 2 && width != 4)
    throw ValueError(cat("random.bits: width must be 1, 2 or 4 bytes, got ", width));
  Dtype dtype = width == 1 ? Dtype::uint8 : width == 2 ? Dtype::uint16 : Dtype::uint32;
  return make_node(Ref<const Primitive>(new RandomBits(shape, width)), Span(&key, 1), drawn(key, shape), dtype);
}

// ---- uniform numbers

std::string RandomUniform::parameters() const { return cat("shape=", shape_, ", dtype=", dtype_name(dtype_)); }

Arrays RandomUniform::vjp(const VjpContext& v) const {
  if (v.inputs.size() == 1) return {Array()};
  const Array& ct = v.cotangents[0];
  return {
      Array(), v.needed[1] ? cotangent_for(ct, v.inputs[1]) : Array(),
      v.needed[2] ? cotangent_for(multiply(ct, random_uniform(v.inputs[0], shape_, dtype_)), v.inputs[2]) : Array()};
}

std::optional<Arrays> RandomUniform::jvp(Span inputs, Span tangents, Span outputs) const {
  if (inputs.size() == 1) return Arrays{Array()};
  Array total = tangents[1];
  if (tangents[2]) total = add_or_null(total, multiply(tangents[2], random_uniform(inputs[0], shape_, dtype_)));
  return Arrays{total ? broadcast_to(total, outputs[0].shape()) : Array()};
}

Batched RandomUniform::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  if (inputs.size() == 1) return {{random_uniform(inputs[0], shape_, dtype_)}, {true}};
  if (!batched[1] && !batched[2]) return {{random_uniform(inputs[0], shape_, inputs[1], inputs[2])}, {true}};
  Array u = random_uniform(inputs[0], shape_, dtype_);
  const Array scaled[] = {inputs[2], u};
  const bool scaled_batched[] = {batched[2], batched[0]};
  Arrays factors = align_batched(scaled, scaled_batched);
  const Array sum[] = {multiply(factors[0], factors[1]), inputs[1]};
  const bool sum_batched[] = {batched[0] || batched[2], batched[1]};
  Arrays terms = align_batched(sum, sum_batched);
  Shape shape = shape_;
  size_t keys = inputs[0].ndim() - 1 - (batched[0] ? 1 : 0);
  for (size_t i = keys; i-- > 0;) shape.insert(shape.begin(), inputs[0].shape()[i + (batched[0] ? 1 : 0)]);
  shape.insert(shape.begin(), size);
  return {{broadcast_to(add(terms[0], terms[1]), shape)}, {true}};
}

Array random_uniform(const Array& key, const Shape& shape, Dtype dtype) {
  return make_node(Ref<const Primitive>(new RandomUniform(shape, dtype)), Span(&key, 1), drawn(key, shape), dtype);
}
Array random_uniform(const Array& key, const Shape& shape, const Array& low, const Array& range) {
  const Array inputs[] = {key, low, range};
  return make_node(Ref<const Primitive>(new RandomUniform(shape, low.dtype())), inputs, drawn(key, shape), low.dtype());
}

// ---- keys from keys

Arrays FoldIn::vjp(const VjpContext&) const { return Arrays(2); }
std::optional<Arrays> FoldIn::jvp(Span, Span, Span) const { return Arrays{Array()}; }
Batched FoldIn::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  return {{random_fold_in(with_batch_axis(inputs[0], batched[0], size), with_batch_axis(inputs[1], batched[1], size))},
          {true}};
}

Array random_fold_in(const Array& key, const Array& data) {
  const Array inputs[] = {key, data};
  return make_node(Ref<const Primitive>(new FoldIn), inputs, key.shape(), Dtype::uint32);
}

}  // namespace funcnn
