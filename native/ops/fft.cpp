#include "ops/fft.h"

#include <cmath>

#include "base/error.h"
#include "base/number_text.h"
#include "ops/create.h"
#include "ops/elementwise.h"
#include "ops/pad.h"
#include "ops/views.h"

namespace funcnn {
namespace {

// Elements of the spectrum that determine that of a real line.
int64_t half(int64_t length) { return length / 2 + 1; }

Array transform(const Array& x, FftKind kind, bool inverse, int64_t length, int axis, double scale) {
  Shape shape = x.shape();
  shape[size_t(axis)] = kind == FftKind::real_to_half ? half(length) : length;
  return make_node(Ref<const Primitive>(new Fft(kind, inverse, length, axis, scale)), Span(&x, 1), std::move(shape),
                   kind == FftKind::half_to_real ? Dtype::float32 : Dtype::complex64);
}

// x cut or filled up with zeros at its end.
Array fitted(const Array& x, int axis, int64_t length) {
  int64_t have = x.shape()[size_t(axis)];
  if (have == length) return x;
  if (have > length) return slice_axis(x, axis, 0, length);
  Shape none(x.ndim(), 0), high = none;
  high[size_t(axis)] = length - have;
  return pad(x, none, high, none, constant(0, x.dtype()));
}

// Those elements of half a spectrum that have no mirror image times one, the others times `inside`.
Array weighted(const Array& x, int axis, int64_t length, double inside) {
  Shape shape(x.ndim(), 1);
  shape[size_t(axis)] = half(length);
  Array place = iota(shape, Dtype::int32), alone = equal(place, constant(0, Dtype::int32));
  if (length % 2 == 0) alone = binary(Opcode::logical_or, alone, equal(place, constant(length / 2, Dtype::int32)));
  return multiply(x, where(alone, constant(1, Dtype::float32), constant(inside, Dtype::float32)));
}

}  // namespace

FftNorm fft_norm(const char* op, const std::string& name) {
  if (name == "backward") return FftNorm::backward;
  if (name == "ortho") return FftNorm::ortho;
  if (name == "forward") return FftNorm::forward;
  throw ValueError(cat(op, ": norm must be 'backward', 'ortho' or 'forward', got '", name, "'"));
}

void Fft::hash(Hasher& h) const {
  h.add(int(kind_));
  h.add(inverse_);
  h.add(length_);
  h.add(axis_);
  h.add(scale_);
}

std::string Fft::parameters() const {
  constexpr std::string_view kinds[] = {"complex", "real to half", "half to real"};
  return cat("kind=", kinds[int(kind_)], inverse_ ? ", inverse" : "", ", length=", length_, ", axis=", axis_,
             ", scale=", number_text(scale_));
}

// The matrix of a transform is symmetric and its conjugate is that of the inverse. Of real lines, the elements that
// have a mirror image stand for two.
Arrays Fft::vjp(const VjpContext& v) const {
  const Array& ct = v.cotangents[0];
  switch (kind_) {
    case FftKind::complex:
      break;
    case FftKind::real_to_half:
      return {transform(weighted(ct, axis_, length_, 0.5), FftKind::half_to_real, true, length_, axis_, scale_)};
    case FftKind::half_to_real:
      return {weighted(transform(ct, FftKind::real_to_half, false, length_, axis_, scale_), axis_, length_, 2)};
  }
  return {transform(ct, kind_, !inverse_, length_, axis_, scale_)};
}

std::optional<Arrays> Fft::jvp(Span, Span tangents, Span) const {
  if (!tangents[0]) return Arrays{Array()};
  return Arrays{transform(tangents[0], kind_, inverse_, length_, axis_, scale_)};
}

Batched Fft::batch(Span inputs, std::span<const bool>, int64_t) const {
  return {{transform(inputs[0], kind_, inverse_, length_, axis_ + 1, scale_)}, {true}};
}

double Fft::flops(const Shape& input, const Shape&) const {
  double lines = double(element_count(input)) / double(input[size_t(axis_)]), length = double(length_);
  return (kind_ == FftKind::complex ? 5 : 2.5) * length * std::log2(length) * lines;
}

Array fourier(const char* op, const Array& x, FftKind kind, bool inverse, std::optional<int64_t> length, int64_t axis,
              FftNorm norm) {
  if (x.ndim() == 0) throw ValueError(cat(op, ": expected an array with at least one axis, got a scalar"));
  int at = normalize_axis(op, axis, x.ndim());
  if (kind == FftKind::real_to_half && is_complex(x.dtype()))
    throw ValueError(cat(op, ": expected real numbers, got ", x.dtype(), " of shape ", x.shape(),
                         "; take real(x) first, or use the transform of complex numbers"));
  int64_t have = x.shape()[size_t(at)];
  int64_t n = length.value_or(kind == FftKind::half_to_real ? 2 * (have - 1) : have);
  if (n < 1)
    throw ValueError(cat(op, ": the length of a transform must be at least 1, got ", n, length ? "" : " for axis ",
                         length ? "" : std::to_string(at).c_str(), " of shape ", x.shape()));
  Array fit = fitted(x, at, kind == FftKind::half_to_real ? half(n) : n);
  double scale = norm == FftNorm::ortho                   ? 1 / std::sqrt(double(n))
                 : (norm == FftNorm::backward) == inverse ? 1 / double(n)
                                                          : 1;
  return transform(astype(fit, kind == FftKind::real_to_half ? Dtype::float32 : Dtype::complex64), kind, inverse, n, at,
                   scale);
}

}  // namespace funcnn
