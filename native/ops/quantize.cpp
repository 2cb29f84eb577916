#include "ops/quantize.h"

#include "base/error.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/rules.h"
#include "ops/views.h"

namespace funcnn {
namespace {

Array unflattened_groups(const Array& x, int group) {
  Shape shape = x.shape();
  shape.back() /= group;
  shape.push_back(group);
  return reshape(x, shape);
}

// The sum over each group.
Array group_sums(const Array& x, int group) { return sum(unflattened_groups(x, group), AxisSet{-1}, false); }

// A run of global scales for a batch; see Quantize.
Array batched_global(const Array& scale, bool batched, int64_t size) {
  return reshape(with_batch_axis(scale, batched, size), {-1});
}

Arrays with_global(const Array& w, const Array& global_scale) {
  Arrays inputs{w};
  if (global_scale) inputs.push_back(reshape(global_scale, {-1}));
  return inputs;
}

Arrays make_quantized(Span inputs, const QuantFormat& format) {
  const Array& w = inputs[0];
  Shape packed = w.shape(), groups = w.shape();
  packed.back() = format.words(packed.back());
  groups.back() /= format.group;
  Dtype scale = format.affine() ? w.dtype() : Dtype::uint8;
  std::vector<Aval> avals{{packed, Dtype::uint32}, {groups, scale}};
  if (format.affine()) avals.push_back({groups, scale});
  return make_nodes(Ref<const Primitive>(new Quantize(format)), inputs, std::move(avals));
}

Array make_dequantized(Span inputs, const QuantFormat& format, Dtype dtype) {
  Shape shape = inputs[0].shape();
  shape.back() = format.elements(shape.back());
  return make_node(Ref<const Primitive>(new Dequantize(format, dtype)), inputs, std::move(shape), dtype);
}

Arrays batched_inputs(Span inputs, std::span<const bool> batched, int64_t size, size_t global) {
  Arrays out;
  for (size_t i = 0; i < inputs.size(); ++i)
    out.push_back(i == global ? batched_global(inputs[i], batched[i], size)
                              : with_batch_axis(inputs[i], batched[i], size));
  return out;
}

void check_groups(const char* op, const Array& w, const QuantFormat& format) {
  if (!is_float(w.dtype()) || w.dtype() == Dtype::float64)
    throw ValueError(cat(op, ": expected float32, float16 or bfloat16, got ", w.dtype(), " of shape ", w.shape(),
                         "; convert it with astype"));
  if (w.ndim() < 2) throw ValueError(cat(op, ": expected at least 2 dimensions, got shape ", w.shape()));
  if (w.dim(-1) % format.group != 0)
    throw ValueError(
        cat(op, ": the last axis must be a multiple of group_size ", format.group, ", got shape ", w.shape()));
}

}  // namespace

// ---- quantize

Arrays Quantize::vjp(const VjpContext&) const {
  throw_not_differentiable(*this, "wrap its results in stop_gradient, or use qqmm, which passes gradients through");
}
std::optional<Arrays> Quantize::jvp(Span, Span, Span) const {
  throw_not_differentiable(*this, "wrap its results in stop_gradient, or use qqmm, which passes gradients through");
}
Batched Quantize::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  Arrays out = make_quantized(batched_inputs(inputs, batched, size, 1), format_);
  SmallVector<bool, 4> all;
  for (size_t i = 0; i < out.size(); ++i) all.push_back(true);
  return {std::move(out), std::move(all)};
}

Arrays quantize(const Array& w, const QuantFormat& format, const Array& global_scale) {
  check_groups("quantize", w, format);
  if (global_scale) check_global_scale("quantize", format, global_scale);
  return make_quantized(with_global(w, global_scale), format);
}

// ---- dequantize

Arrays Dequantize::vjp(const VjpContext& v) const {
  Arrays out(v.inputs.size());
  if (!format_.affine()) return out;
  const Array& ct = v.cotangents[0];
  if (v.needed[1]) out[1] = group_sums(multiply(ct, quantized_codes(v.inputs[0], format_, dtype_)), format_.group);
  if (v.needed[2]) out[2] = group_sums(ct, format_.group);
  return out;
}

std::optional<Arrays> Dequantize::jvp(Span inputs, Span tangents, Span) const {
  if (!format_.affine() || (!tangents[1] && !tangents[2])) return Arrays{Array()};
  auto given = [&](size_t i) { return tangents[i] ? tangents[i] : zeros_like(inputs[i]); };
  const Array linear[] = {inputs[0], given(1), given(2)};
  return Arrays{make_dequantized(linear, format_, dtype_)};
}

Batched Dequantize::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  size_t global = format_.affine() ? 3 : 2;
  return {{make_dequantized(batched_inputs(inputs, batched, size, global), format_, dtype_)}, {true}};
}

Array quantized_codes(const Array& w, const QuantFormat& format, Dtype dtype) {
  Shape groups = w.shape();
  groups.back() = format.elements(groups.back()) / format.group;
  const Array inputs[] = {w, full(groups, constant(1, dtype)), full(groups, constant(0, dtype))};
  return make_dequantized(inputs, format, dtype);
}

Array dequantize(const Array& w, const Array& scales, const Array& biases, const QuantFormat& format,
                 const Array& global_scale, std::optional<Dtype> dtype) {
  check_quantized("dequantize", format, w, scales, biases);
  if (global_scale) check_global_scale("dequantize", format, global_scale);
  if (dtype && !is_float(*dtype))
    throw ValueError(cat("dequantize: dtype must be a floating-point type, got ", *dtype));
  if (format.affine()) {
    Dtype own = promote_types(scales.dtype(), biases.dtype());
    const Array inputs[] = {w, astype(scales, own), astype(biases, own)};
    Array out = make_dequantized(inputs, format, own);
    return dtype ? astype(out, *dtype) : out;
  }
  Arrays inputs{w, scales};
  if (global_scale) inputs.push_back(reshape(global_scale, {-1}));
  return make_dequantized(inputs, format, dtype.value_or(global_scale ? Dtype::float32 : Dtype::bfloat16));
}

// ---- rounding to what codes stand for

Arrays QuantizedValues::vjp(const VjpContext& v) const {
  Arrays out(v.inputs.size());
  out[0] = v.cotangents[0];
  return out;
}
std::optional<Arrays> QuantizedValues::jvp(Span, Span tangents, Span) const { return Arrays{tangents[0]}; }
Batched QuantizedValues::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  Arrays all = batched_inputs(inputs, batched, size, 1);
  return {{make_node(Ref<const Primitive>(new QuantizedValues(format_)), all, all[0].shape(), all[0].dtype())}, {true}};
}

Array quantized_values(const Array& x, const QuantFormat& format, const Array& global_scale) {
  return make_node(Ref<const Primitive>(new QuantizedValues(format)), with_global(x, global_scale), x.shape(),
                   x.dtype());
}

// ---- float8

Batched ConvertFp8::batch(Span inputs, std::span<const bool>, int64_t) const {
  return {{make_node(Ref<const Primitive>(new ConvertFp8(to_, dtype_)), inputs, inputs[0].shape(), dtype_)}, {true}};
}

Array to_fp8(const Array& x) {
  if (!is_float(x.dtype()))
    throw ValueError(cat("to_fp8: expected a floating-point array, got ", x.dtype(), " of shape ", x.shape()));
  return make_node(Ref<const Primitive>(new ConvertFp8(true, Dtype::uint8)), Span(&x, 1), x.shape(), Dtype::uint8);
}

Array from_fp8(const Array& x, Dtype dtype) {
  if (x.dtype() != Dtype::uint8)
    throw ValueError(cat("from_fp8: expected a uint8 array, got ", x.dtype(), " of shape ", x.shape()));
  if (!is_float(dtype)) throw ValueError(cat("from_fp8: dtype must be a floating-point type, got ", dtype));
  return make_node(Ref<const Primitive>(new ConvertFp8(false, dtype)), Span(&x, 1), x.shape(), dtype);
}

}  // namespace funcnn
