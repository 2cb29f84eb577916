#include "backends/reference/fft.h"

#include <cmath>
#include <complex>
#include <vector>

#include "backends/reference/element.h"
#include "ops/fft.h"

namespace funcnn::reference {
namespace {

// Where the elements of a line lie.
struct Line {
  const Layout& layout;
  size_t axis;
  int64_t start;
  int64_t at(int64_t j) const { return start + j * layout.strides[axis]; }
};
Line line_of(const Layout& layout, size_t axis, int64_t number) {
  Shape rest = layout.shape;
  rest[axis] = 1;
  return {layout, axis, offset_of(rest, layout.strides, number)};
}

}  // namespace

void fft(const Primitive& primitive, Layouts in, Layouts out, Pointers at) {
  using Complex = std::complex<double>;
  auto& op = static_cast<const Fft&>(primitive);
  const size_t axis = size_t(op.axis());
  const int64_t n = op.length(), have = in[0].shape[axis], give = out[0].shape[axis];
  const int64_t lines = element_count(out[0].shape) / give;
  std::vector<Complex> roots;
  for (int64_t k = 0; k < n; ++k)
    roots.push_back(std::polar(1.0, (op.inverse() ? 2 : -2) * 3.14159265358979323846 * double(k) / double(n)));
  std::vector<Complex> x(static_cast<size_t>(n)), y(static_cast<size_t>(give));
  for (int64_t number = 0; number < lines; ++number) {
    Line from = line_of(in[0], axis, number), to = line_of(out[0], axis, number);
    for (int64_t j = 0; j < have; ++j) {
      Cell cell = load(at[0] + from.at(j) * int64_t(item_size(in[0].dtype)), in[0].dtype, Dtype::complex64);
      x[size_t(j)] = Complex(cell.get<complex64_t>());
    }
    if (op.fft_kind() == FftKind::half_to_real) {
      x[0] = x[0].real();
      if (n % 2 == 0) x[size_t(n / 2)] = x[size_t(n / 2)].real();
      for (int64_t j = have; j < n; ++j) x[size_t(j)] = std::conj(x[size_t(n - j)]);
    }
    for (int64_t k = 0; k < give; ++k) {
      Complex sum = 0;
      for (int64_t j = 0; j < n; ++j) sum += x[size_t(j)] * roots[size_t(j * k % n)];
      y[size_t(k)] = sum * op.scale();
    }
    for (int64_t k = 0; k < give; ++k)
      if (op.fft_kind() == FftKind::half_to_real)
        reinterpret_cast<float*>(at[1])[to.at(k)] = float(y[size_t(k)].real());
      else
        reinterpret_cast<complex64_t*>(at[1])[to.at(k)] = complex64_t(y[size_t(k)]);
  }
}

}  // namespace funcnn::reference
