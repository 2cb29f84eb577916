#include "ops/numeric.h"

#include <cmath>
#include <limits>

#include "base/device_dtypes.h"
#include "graph/transfer.h"
#include "ops/annotate.h"
#include "ops/elementwise.h"
#include "ops/rules.h"

namespace funcnn {

namespace {

// To a multiple of 10 ** digits, halves to the even multiple, in integer arithmetic. Results that the dtype does not
// hold wrap.
Array round_integer(const Array& x, int digits) {
  double largest = visit_dtype(x.dtype(), [](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_integral_v<T>) return double(std::numeric_limits<T>::max());
    return 0.0;
  });
  if (std::pow(10.0, digits) / 2 > largest || digits > 19) return zeros_like(x);
  uint64_t power = 1;
  for (int i = 0; i < digits; ++i) power *= 10;
  Dtype wide = is_unsigned(x.dtype()) ? Dtype::uint64 : Dtype::int64;
  if (power > uint64_t(std::numeric_limits<int64_t>::max()) && wide == Dtype::int64) {
    // 10 ** 19: the multiples are out of reach but for wrapping.
    return zeros_like(x);
  }
  auto number = [&](uint64_t value) { return constant(int64_t(value), wide); };
  Array whole = astype(x, wide), scale = number(power), quotient = binary(Opcode::floor_divide, whole, scale);
  Array rest = subtract(whole, multiply(quotient, scale));
  Array odd = equal(binary(Opcode::bitwise_and, quotient, number(1)), number(1)), half = number(power / 2);
  Array up = binary(Opcode::logical_or, greater(rest, half), binary(Opcode::logical_and, equal(rest, half), odd));
  return astype(multiply(add(quotient, astype(up, wide)), scale), x.dtype());
}

// Where an operation of both runs.
Device device_of(const Array& a, const Array& b) {
  for (const Array* x : {&a, &b})
    if (x->node()->device.placed()) return x->node()->device;
  return default_device();
}

// |a - b| of integers in float64, exact before that conversion.
Array integer_distance(const Array& a, const Array& b) {
  Array x = astype(a, Dtype::uint64), y = astype(b, Dtype::uint64), zero = constant(0, Dtype::uint64);
  auto is_negative = [](const Array& v) {
    bool never = is_unsigned(v.dtype()) || v.dtype() == Dtype::bool_;
    return never ? constant(0, Dtype::bool_) : less(v, constant(0, v.dtype()));
  };
  auto size = [&](const Array& negative, const Array& bits) {
    return astype(where(negative, subtract(zero, bits), bits), Dtype::float64);
  };
  // Of one sign, numbers keep their order when they wrap; sizes of different signs add up.
  Array below = is_negative(a), beside = is_negative(b);
  Array apart = astype(where(less(x, y), subtract(y, x), subtract(x, y)), Dtype::float64);
  return where(equal(below, beside), apart, add(size(below, x), size(beside, y)));
}

}  // namespace

Array round(const Array& x, int decimals) {
  if (decimals == 0) return unary(Opcode::round, x);
  if (!is_inexact(x.dtype())) return decimals > 0 || x.dtype() == Dtype::bool_ ? x : round_integer(x, -decimals);
  if (is_half(x.dtype())) return astype(round(astype(x, Dtype::float32), decimals), x.dtype());
  if (is_complex(x.dtype())) {
    const Array parts[] = {round(real(x), decimals), round(imag(x), decimals)};
    return elementwise(Opcode::make_complex, parts, x.dtype());
  }
  double power = std::pow(10.0, std::abs(decimals));
  double largest =
      x.dtype() == Dtype::float64 ? std::numeric_limits<double>::max() : double(std::numeric_limits<float>::max());
  // Nothing has digits that small, or reaches a multiple that large.
  if (power > largest)
    return decimals > 0 ? stop_gradient(x) : where(unary(Opcode::isfinite, x), zeros_like(x), stop_gradient(x));
  Array scale = constant(power, x.dtype());
  if (decimals < 0) return multiply(unary(Opcode::round, divide(x, scale)), scale);
  Array scaled = multiply(x, scale);
  return where(unary(Opcode::isfinite, scaled), divide(unary(Opcode::round, scaled), scale), stop_gradient(x));
}

Array isclose(const Array& a, const Array& b, double rtol, double atol, bool equal_nan) {
  if (!is_inexact(a.dtype()) && !is_inexact(b.dtype())) {
    const Device device = device_of(a, b);
    if (!device_has(device, Dtype::float64))
      return device_put(isclose(device_put(a, kCpu), device_put(b, kCpu), rtol, atol, equal_nan), device);
    Array distance = integer_distance(a, b), size = integer_distance(b, constant(0, b.dtype()));
    Array room = add(constant(atol, Dtype::float64), multiply(constant(rtol, Dtype::float64), size));
    return binary(Opcode::less_equal, distance, room);
  }
  Dtype dtype = promote_types(a.dtype(), b.dtype());
  // Half floats in float32, which holds the tolerances.
  if (is_half(dtype)) dtype = Dtype::float32;
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
