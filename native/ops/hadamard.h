// The Walsh-Hadamard transform.
#pragma once

#include <optional>

#include "graph/primitive.h"

namespace funcnn {

// scale * H x along the last axis, of length m * 2^k with m of 1, 12, 20, 28: H is the Kronecker product of a Hadamard
// matrix of order m and Sylvester's of order 2^k. Default scale: 1 / sqrt(n). Integers become float32.
Array hadamard_transform(const Array& x, std::optional<double> scale);

// m of such a length n; 0 where there is none.
int hadamard_odd_factor(int64_t n);
// Row i of the matrix of order m (12, 20 or 28): bit j is set where entry j is -1.
uint32_t hadamard_signs(int m, int i);

class Hadamard final : public Primitive {
 public:
  Hadamard(int odd, double scale, bool transposed) : odd_(odd), scale_(scale), transposed_(transposed) {}
  std::string_view name() const override { return "hadamard_transform"; }
  void hash(Hasher& h) const override {
    h.add(odd_);
    h.add(scale_);
    h.add(transposed_);
  }
  std::string parameters() const override;
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  // m of m * 2^k, and whether the matrix of that order is transposed.
  int odd() const { return odd_; }
  double scale() const { return scale_; }
  bool transposed() const { return transposed_; }

 private:
  int odd_;
  double scale_;
  bool transposed_;
};

}  // namespace funcnn
