// Products with quantised matrices.
#pragma once

#include "graph/primitive.h"
#include "ops/quantized_format.h"

namespace funcnn {

// x @ w.T (transpose) or x @ w of the matrix that codes, scales and biases stand for; leading axes broadcast.
Array quantized_matmul(const Array& x, const Array& w, const Array& scales, const Array& biases, bool transpose,
                       const QuantFormat& format);
// The same of matrices chosen by flat numbers along the leading axes (null: in order). `global_scale` (may be null): of
// nvfp4, one for each matrix.
Array gather_qmm(const Array& x, const Array& w, const Array& scales, const Array& biases, const Array& lhs,
                 const Array& rhs, bool transpose, const QuantFormat& format, const Array& global_scale);
// Both operands rounded to the format first; w is quantised already where scales are given. Derivatives pass through
// the rounding.
Array qqmm(const Array& x, const Array& w, const Array& scales, const QuantFormat& format, const Array& global_x,
           const Array& global_w);
Array gather_qqmm(const Array& x, const Array& w, const Array& scales, const Array& lhs, const Array& rhs,
                  const QuantFormat& format, const Array& global_x, const Array& global_w);

// out[i] = x[lhs[i]] @ w[rhs[i]]. Inputs: x (X, M, K), w (E, rows, words), scales, biases (mode affine; of the dtype of
// x), and if indexed lhs (I), rhs (I) of int64: a number that is not of the axis stands for zeros. Not indexed: X = E =
// I = 1.
class QuantizedDot final : public Primitive {
 public:
  QuantizedDot(QuantFormat format, bool transpose, bool indexed)
      : format_(format), transpose_(transpose), indexed_(indexed) {}
  std::string_view name() const override { return "quantized_dot"; }
  void hash(Hasher& h) const override {
    format_.hash(h);
    h.add(transpose_);
    h.add(indexed_);
  }
  std::string parameters() const override;
  double flops(const Shape& x, const Shape& out) const override {
    return 2.0 * double(element_count(out)) * double(x.back());
  }
  bool dear() const override { return true; }
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;

  const QuantFormat& format() const { return format_; }
  bool transpose() const { return transpose_; }
  bool indexed() const { return indexed_; }
  size_t matrix_inputs() const { return format_.affine() ? 3 : 2; }  // w, scales, biases

 private:
  QuantFormat format_;
  bool transpose_, indexed_;
};

}  // namespace funcnn
