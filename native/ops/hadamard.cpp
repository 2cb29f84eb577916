#include "ops/hadamard.h"

#include <cmath>

#include "base/error.h"
#include "base/number_text.h"
#include "ops/elementwise.h"

namespace funcnn {
namespace {

Array transformed(const Array& x, int odd, double scale, bool transposed) {
  return make_node(Ref<const Primitive>(new Hadamard(odd, scale, transposed)), Span(&x, 1), x.shape(), x.dtype());
}

// N. J. A. Sloane, A Library of Hadamard Matrices, in the order MLX has.
constexpr uint32_t kSigns12[] = {0x002, 0xaab, 0x3c8, 0x96e, 0xf20, 0x5ba, 0xc8c, 0x6e6, 0x23c, 0xb96, 0x8f0, 0xe5a};
constexpr uint32_t kSigns20[] = {0x933de, 0x2e3bd, 0x5477b, 0xa0ef7, 0x499ef, 0x637c1, 0xc6ba2,
                                 0x8d764, 0x1aee8, 0x359f0, 0x0fa53, 0x174a7, 0x26d4e, 0x45e9c,
                                 0x83d39, 0xf7a6d, 0xef4fa, 0xdedd5, 0xbdf8b, 0x7bf36};
constexpr uint32_t kSigns28[] = {0xcd69e7e, 0x9ad7c7d, 0x37ab8fb, 0x6d571f7, 0xd8ae3ef, 0xb3587df, 0x66b4f3f,
                                 0xb467f43, 0x6acbe87, 0xd593d8e, 0xab27b9c, 0x564f7b8, 0xac9aff0, 0x5b31fe1,
                                 0x87fb325, 0x0ff66ca, 0x1decd95, 0x39ddb2a, 0x71bf654, 0xe17eca9, 0xc2fd9d2,
                                 0xfcf1299, 0xfbe2532, 0xf7c4ae4, 0xef8d549, 0xdf1ea13, 0xbe3d4a6, 0x7e7a94c};

}  // namespace

uint32_t hadamard_signs(int m, int i) { return m == 12 ? kSigns12[i] : m == 20 ? kSigns20[i] : kSigns28[i]; }

int hadamard_odd_factor(int64_t n) {
  int odd = 0;
  for (int m : {1, 12, 20, 28})
    if (n > 0 && n % m == 0 && (n / m & (n / m - 1)) == 0) odd = m;
  return odd;
}

std::string Hadamard::parameters() const {
  return cat("scale=", number_text(scale_), transposed_ ? ", transposed" : "");
}
Arrays Hadamard::vjp(const VjpContext& v) const {
  return {transformed(v.cotangents[0], odd_, scale_, odd_ > 1 && !transposed_)};
}
std::optional<Arrays> Hadamard::jvp(Span, Span tangents, Span) const {
  return Arrays{tangents[0] ? transformed(tangents[0], odd_, scale_, transposed_) : Array()};
}
Batched Hadamard::batch(Span inputs, std::span<const bool>, int64_t) const {
  return {{transformed(inputs[0], odd_, scale_, transposed_)}, {true}};
}

Array hadamard_transform(const Array& given, std::optional<double> scale) {
  if (is_complex(given.dtype())) throw ValueError("hadamard_transform: expected a real array, got complex64");
  Array x = is_float(given.dtype()) ? given : astype(given, Dtype::float32);
  int64_t n = x.ndim() ? x.dim(-1) : 1;
  int odd = hadamard_odd_factor(n);
  if (!odd)
    throw ValueError(
        cat("hadamard_transform: the last axis must have length m * 2^k with m of 1, 12, 20 or 28, got "
            "shape ",
            x.shape()));
  double factor = scale.value_or(1 / std::sqrt(double(n)));
  if (x.ndim() == 0) return multiply(x, constant(factor, x.dtype()));
  return transformed(x, odd, factor, false);
}

}  // namespace funcnn
