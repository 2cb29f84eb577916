#include "ops/numeric.h"

#include <cmath>
#include <limits>

#include "ops/elementwise.h"

namespace funcnn {

Array round(const Array& x, int decimals) {
  if (decimals == 0) return unary(Opcode::round, x);
  if (!is_inexact(x.dtype())) {
    if (decimals > 0) return x;
    Array scale = constant(std::pow(10.0, -decimals), Dtype::float32);
    return astype(multiply(unary(Opcode::round, divide(x, scale)), scale), x.dtype());
  }
  Array scale = constant(std::pow(10.0, std::abs(decimals)), is_complex(x.dtype()) ? Dtype::float32 : x.dtype());
  return decimals > 0 ? divide(unary(Opcode::round, multiply(x, scale)), scale)
                      : multiply(unary(Opcode::round, divide(x, scale)), scale);
}

Array isclose(const Array& a, const Array& b, double rtol, double atol, bool equal_nan) {
  Dtype dtype = promote_types(a.dtype(), b.dtype());
  if (!is_inexact(dtype)) dtype = Dtype::float32;
  Array x = astype(a, dtype), y = astype(b, dtype);
  Dtype real_dtype = is_complex(dtype) ? Dtype::float32 : dtype;
  Array room = add(constant(atol, real_dtype), multiply(constant(rtol, real_dtype), abs(y)));
  Array finite = binary(Opcode::logical_and, unary(Opcode::isfinite, x), unary(Opcode::isfinite, y));
  Array near = binary(Opcode::logical_and, finite, binary(Opcode::less_equal, abs(subtract(x, y)), room));
  Array close = binary(Opcode::logical_or, near, equal(x, y));
  if (equal_nan)
    close = binary(Opcode::logical_or, close,
                   binary(Opcode::logical_and, unary(Opcode::isnan, x), unary(Opcode::isnan, y)));
  return close;
}

Array nan_to_num(const Array& x, double nan, std::optional<double> posinf, std::optional<double> neginf) {
  if (!is_inexact(x.dtype())) return x;
  if (is_complex(x.dtype())) {
    const Array parts[] = {nan_to_num(real(x), nan, posinf, neginf), nan_to_num(imag(x), nan, posinf, neginf)};
    return elementwise(Opcode::make_complex, parts, Dtype::complex64);
  }
  Dtype dtype = x.dtype();
  double largest = dtype == Dtype::float16    ? 65504.0
                   : dtype == Dtype::bfloat16 ? 0x1.fep127
                   : dtype == Dtype::float64  ? std::numeric_limits<double>::max()
                                              : double(std::numeric_limits<float>::max());
  Array infinite = unary(Opcode::isinf, x), positive = greater(x, constant(0, dtype));
  Array bounded =
      where(infinite,
            where(positive, constant(posinf.value_or(largest), dtype), constant(neginf.value_or(-largest), dtype)), x);
  return where(unary(Opcode::isnan, x), constant(nan, dtype), bounded);
}

}  // namespace funcnn
