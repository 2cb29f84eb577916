// Rounding to few bits and back.
#pragma once

#include <optional>

#include "graph/primitive.h"
#include "ops/quantized_format.h"

namespace funcnn {

// Packed codes, scales and, of mode affine, biases. Each row (the last axis) is quantised in groups of neighbours.
// `global_scale` (may be null): of nvfp4, the largest magnitude that the whole array is to hold.
Arrays quantize(const Array& w, const QuantFormat& format, const Array& global_scale);
// The elements again. Default dtype: that of scales and biases, else bfloat16 (float32 with a global scale).
Array dequantize(const Array& w, const Array& scales, const Array& biases, const QuantFormat& format,
                 const Array& global_scale, std::optional<Dtype> dtype);
// dequantize(quantize(x)) of a mode with floating-point codes, in the dtype of x. Derivatives pass straight through.
Array quantized_values(const Array& x, const QuantFormat& format, const Array& global_scale);
// The codes of affine mode as numbers of `dtype`.
Array quantized_codes(const Array& w, const QuantFormat& format, Dtype dtype);

// float8 of 4 exponent and 3 mantissa bits without infinities (OCP), as uint8: to the nearest, ties to even; beyond the
// largest number 448, and of NaN, the largest.
Array to_fp8(const Array& x);
Array from_fp8(const Array& x, Dtype dtype);

// Inputs: w and perhaps global scales, one for each run of rows (there are a whole number of rows for each).
class Quantize final : public Primitive {
 public:
  explicit Quantize(QuantFormat format) : format_(format) {}
  std::string_view name() const override { return "quantize"; }
  void hash(Hasher& h) const override { format_.hash(h); }
  std::string parameters() const override { return format_.text(); }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  const QuantFormat& format() const { return format_; }

 private:
  QuantFormat format_;
};

// Inputs: w, scales, and biases (affine, of the dtype of the output, as the scales) or perhaps global scales.
class Dequantize final : public Primitive {
 public:
  Dequantize(QuantFormat format, Dtype dtype) : format_(format), dtype_(dtype) {}
  std::string_view name() const override { return "dequantize"; }
  void hash(Hasher& h) const override { format_.hash(h); }
  std::string parameters() const override { return format_.text(); }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  const QuantFormat& format() const { return format_; }

 private:
  QuantFormat format_;
  Dtype dtype_;
};

// Inputs as those of quantize; the output is like w.
class QuantizedValues final : public Primitive {
 public:
  explicit QuantizedValues(QuantFormat format) : format_(format) {}
  std::string_view name() const override { return "quantized_values"; }
  void hash(Hasher& h) const override { format_.hash(h); }
  std::string parameters() const override { return format_.text(); }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  const QuantFormat& format() const { return format_; }

 private:
  QuantFormat format_;
};

class ConvertFp8 final : public Primitive {
 public:
  // `dtype`: of the output.
  ConvertFp8(bool to, Dtype dtype) : to_(to), dtype_(dtype) {}
  std::string_view name() const override { return to_ ? "to_fp8" : "from_fp8"; }
  Arrays vjp(const VjpContext&) const override { return {Array()}; }
  std::optional<Arrays> jvp(Span, Span, Span) const override { return Arrays{Array()}; }
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;

 private:
  bool to_;
  Dtype dtype_;
};

}  // namespace funcnn
