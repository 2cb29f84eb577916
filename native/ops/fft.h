// Fourier transforms along one axis.
#pragma once

#include <optional>
#include <string>

#include "graph/array.h"
#include "graph/primitive.h"

namespace funcnn {

enum class FftKind : uint8_t {
  complex,       // complex64 to complex64
  real_to_half,  // float32 to the first length / 2 + 1 elements of the transform, in complex64
  half_to_real,  // the inverse: the rest of the spectrum is the mirror image, conjugate; complex64 to float32
};

enum class FftNorm : uint8_t { backward, ortho, forward };
// Raises ValueError naming `op` for any other name.
FftNorm fft_norm(const char* op, const std::string& name);

// The transform of x along an axis, cut or filled up with zeros for `length` elements in the domain of time. Without a
// length: that of x. The kinds of real numbers have one direction. `op` is named in errors.
Array fourier(const char* op, const Array& x, FftKind kind, bool inverse, std::optional<int64_t> length, int64_t axis,
              FftNorm norm);

// sum over j of x[j] e^(-2 pi i j k / length), with + if inverse, times scale.
class Fft final : public Primitive {
 public:
  Fft(FftKind kind, bool inverse, int64_t length, int axis, double scale)
      : kind_(kind), inverse_(inverse), length_(length), axis_(axis), scale_(scale) {}
  std::string_view name() const override { return "fft"; }
  void hash(Hasher& h) const override;
  std::string parameters() const override;
  Arrays vjp(const VjpContext& context) const override;
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override;
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
  double flops(const Shape& input, const Shape& output) const override;
  // Every line is read before it is written.
  int reusable_input() const override { return kind_ == FftKind::complex ? 0 : -1; }

  FftKind fft_kind() const { return kind_; }
  bool inverse() const { return inverse_; }
  int64_t length() const { return length_; }
  int axis() const { return axis_; }
  double scale() const { return scale_; }

 private:
  FftKind kind_;
  bool inverse_;
  int64_t length_;
  int axis_;
  double scale_;
};

}  // namespace funcnn
