#include "backends/reference/element.h"

#include <limits>
#include <numbers>
#include <optional>

#include "base/error.h"

namespace funcnn::reference {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kDensity = 0.39894228040143267794;  // of the normal distribution at 0

double digamma(double x) {
  if (std::isnan(x)) return x;
  if (x == 0) return std::copysign(INFINITY, -x);
  if (std::isinf(x)) return x > 0 ? x : NAN;
  double shift = 0;
  if (x < 0) {
    double fraction = x - std::nearbyint(x);
    if (fraction == 0) return NAN;
    shift = -kPi / std::tan(kPi * fraction);
    x = 1 - x;
  }
  // Upwards by the recurrence, then the asymptotic series with the first Bernoulli numbers.
  for (; x < 20; ++x) shift -= 1 / x;
  double z = 1 / (x * x);
  return shift + std::log(x) - 0.5 / x - z * (1.0 / 12 - z * (1.0 / 120 - z * (1.0 / 252 - z / 240)));
}

// The sum of (-1)^(m + 1) m! / (x + k)^(m + 1) over all k, the far ones by Euler and Maclaurin's formula.
double polygamma(double m, double x) {
  if (m == 0) return digamma(x);
  if (!(m > 0) || m != std::floor(m) || std::isinf(m) || std::isnan(x) || x == -INFINITY) return NAN;
  double sign = std::fmod(m, 2) == 1 ? 1 : -1, s = m + 1, sum = 0;
  if (x == INFINITY) return sign * 0.0;
  if (x <= 0 && x == std::floor(x)) return sign > 0 ? INFINITY : x == 0 ? std::copysign(INFINITY, -x) : NAN;
  for (; x < s + 40; ++x) sum += std::pow(x, -s);
  double power = std::pow(x, -s);
  sum += power *
         (x / m + 0.5 + s / (12 * x) * (1 - (s + 1) * (s + 2) / (60 * x * x) * (1 - (s + 3) * (s + 4) / (42 * x * x))));
  return sign * std::tgamma(s) * sum;
}

// Bisection: slow, and right by the definition.
double erfinv(double x) {
  if (!(std::fabs(x) <= 1)) return NAN;
  if (std::fabs(x) == 1) return x * INFINITY;
  double low = 0, high = 6, target = std::fabs(x);
  for (int i = 0; i < 200; ++i) {
    double middle = (low + high) / 2;
    bool below = target < 0.5 ? std::erf(middle) < target : std::erfc(middle) > 1 - target;
    (below ? low : high) = middle;
  }
  return std::copysign(low, x);
}

// erfc(-x / sqrt(2)). In the tail erfc makes hundreds of units of what rounding its argument loses.
double twice_normal_cdf(double x) {
  constexpr double root_half = 0.70710678118654752440, root_half_rest = -4.8336466567264567e-17;
  const double z = -x * root_half;
  if (std::fabs(z) > 30) return std::erfc(z);
  const double rest = std::fma(-x, root_half, -z) - x * root_half_rest;
  return std::erfc(z) - 2 * std::numbers::inv_sqrtpi * std::exp(-z * z) * rest;
}

double log_gamma(double x) {
#if defined(__GLIBC__)
  int sign;  // the plain function writes a global
  return lgamma_r(x, &sign);
#else
  return std::lgamma(x);
#endif
}

using Wide = std::complex<double>;

// What the standard library has for real and complex numbers alike; nothing if it does not.
template <class T>
std::optional<T> shared_function(Opcode op, T x) {
  switch (op) {
    case Opcode::exp:
      return std::exp(x);
    case Opcode::log:
      return std::log(x);
    case Opcode::log10:
      return std::log10(x);
    case Opcode::sin:
      return std::sin(x);
    case Opcode::cos:
      return std::cos(x);
    case Opcode::tan:
      return std::tan(x);
    case Opcode::arcsin:
      return std::asin(x);
    case Opcode::arccos:
      return std::acos(x);
    case Opcode::arctan:
      return std::atan(x);
    case Opcode::sinh:
      return std::sinh(x);
    case Opcode::cosh:
      return std::cosh(x);
    case Opcode::tanh:
      return std::tanh(x);
    case Opcode::arcsinh:
      return std::asinh(x);
    case Opcode::arccosh:
      return std::acosh(x);
    case Opcode::arctanh:
      return std::atanh(x);
    case Opcode::sqrt:
      return std::sqrt(x);
    case Opcode::rsqrt:
      return 1.0 / std::sqrt(x);
    case Opcode::reciprocal:
      return 1.0 / x;
    default:
      return std::nullopt;
  }
}

double function(Opcode op, double x) {
  if (auto y = shared_function(op, x)) return *y;
  switch (op) {
    case Opcode::expm1:
      return std::expm1(x);
    case Opcode::exp2:
      return std::exp2(x);
    case Opcode::log1p:
      return std::log1p(x);
    case Opcode::log2:
      return std::log2(x);
    case Opcode::sigmoid:
      return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x));
    case Opcode::erf:
      return std::erf(x);
    case Opcode::erfc:
      return std::erfc(x);
    case Opcode::gelu:
      return x < -40 ? -0.0 : 0.5 * x * twice_normal_cdf(x);
    case Opcode::gelu_derivative:
      return std::fabs(x) > 40 ? double(x > 0) : 0.5 * twice_normal_cdf(x) + kDensity * x * std::exp(-0.5 * x * x);
    case Opcode::erfinv:
      return erfinv(x);
    case Opcode::lgamma:
      return log_gamma(x);
    case Opcode::digamma:
      return digamma(x);
    case Opcode::floor:
      return std::floor(x);
    case Opcode::ceil:
      return std::ceil(x);
    case Opcode::round:
      return std::nearbyint(x);
    case Opcode::trunc:
      return std::trunc(x);
    default:
      throw Error(cat("reference: ", opcode_info(op).name, " of real numbers is missing"));
  }
}

Wide function(Opcode op, Wide x) {
  if (op == Opcode::tan) {
    Wide t = function(Opcode::tanh, Wide(-x.imag(), x.real()));
    return {t.imag(), -t.real()};
  }
  if (op != Opcode::tanh) {
    if (auto y = shared_function(op, x)) return *y;
  }
  switch (op) {
    case Opcode::round:
      return {std::nearbyint(x.real()), std::nearbyint(x.imag())};
    case Opcode::expm1:
      return std::exp(x) - 1.0 + 0.0;
    case Opcode::exp2:
      return std::exp(x * std::log(2.0));
    case Opcode::log1p:
      return std::log(x + 1.0);
    case Opcode::log2:
      return std::log(x) / std::log(2.0);
    case Opcode::sigmoid:
      return 1.0 / (1.0 + std::exp(-x));
    case Opcode::tanh:
      return std::isinf(x.real()) && std::isfinite(x.imag())
                 ? Wide(std::copysign(1.0, x.real()), std::copysign(0.0, x.imag()))
                 : std::tanh(x);
    case Opcode::sign:
      if (std::isinf(x.real()) != std::isinf(x.imag()) && !std::isnan(x.real()) && !std::isnan(x.imag()))
        return {std::isinf(x.real()) ? std::copysign(1.0, x.real()) : std::copysign(0.0, x.real()),
                std::isinf(x.imag()) ? std::copysign(1.0, x.imag()) : std::copysign(0.0, x.imag())};
      return x == 0.0 ? 0.0 : x / std::abs(x);
    default:
      throw Error(cat("reference: ", opcode_info(op).name, " of complex numbers is missing"));
  }
}

template <class T>
T unary(Opcode op, T a) {
  if (op == Opcode::square) return times(a, a);
  if (op == Opcode::conjugate || op == Opcode::real) {
    if constexpr (is_complex_type<T>) return std::conj(a);
    return a;
  }
  if constexpr (std::is_same_v<T, bool>) {
    return op == Opcode::bitwise_invert || op == Opcode::logical_not ? !a : a;
  } else if constexpr (std::is_integral_v<T>) {
    if (op == Opcode::negative) return T(0 - uint64_t(a));
    if (op == Opcode::bitwise_invert) return T(~a);
    if (op == Opcode::abs) return a < 0 ? T(0 - uint64_t(a)) : a;
    if (op == Opcode::sign) return T((a > 0) - (a < 0));
    return a;  // floor and its like
  } else if constexpr (is_complex_type<T>) {
    if (op == Opcode::negative) return -a;
    return T(function(op, Wide(a)));
  } else {
    if (op == Opcode::negative) return -a;
    if (op == Opcode::abs) return std::fabs(a);
    if (op == Opcode::sign) return is_nan(a) ? a : T((a > 0) - (a < 0));
    if (op == Opcode::round_float16) return T(float(to_half<float16_t>(a)));
    if (op == Opcode::round_bfloat16) return T(float(to_half<bfloat16_t>(a)));
    return T(function(op, double(a)));
  }
}

template <class T>
T power(T a, T b) {
  if constexpr (std::is_same_v<T, bool>) {
    return a || !b;
  } else if constexpr (std::is_integral_v<T>) {
    if (b < 0) return 0;
    T result = 1;
    for (uint64_t e = uint64_t(b); e; e >>= 1) {
      if (e & 1) result = times(result, a);
      a = times(a, a);
    }
    return result;
  } else if constexpr (is_complex_type<T>) {
    if (b == T(0)) return T(1);
    if (a == T(0)) return b.real() > 0 ? T(0) : T(std::numeric_limits<float>::quiet_NaN());
    return T(std::pow(Wide(a), Wide(b)));
  } else {
    return T(std::pow(double(a), double(b)));
  }
}

// Towards minus infinity, as in Python; of integers by zero: 0.
template <class T>
T floor_divide(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0) return 0;
    if (std::is_signed_v<T> && b == T(-1)) return T(0 - uint64_t(a));
    T q = T(a / b);
    return T(q - (T(a % b) != 0 && (a < 0) != (b < 0)));
  } else {
    if (b == 0 || std::isinf(a) || std::isinf(b)) return a / b;
    T r = std::fmod(a, b), q = (a - r) / b;
    if (r != 0 && (r < 0) != (b < 0)) q -= T(1);
    return q == 0 ? std::copysign(T(0), a / b) : std::nearbyint(q);
  }
}
template <class T>
T remainder(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0 || (std::is_signed_v<T> && b == T(-1))) return 0;
    T r = T(a % b);
    return r != 0 && (r < 0) != (b < 0) ? T(r + b) : r;
  } else {
    T r = std::fmod(a, b);
    if (r == 0) return std::copysign(T(0), b);
    return (r < 0) != (b < 0) ? r + b : r;
  }
}

// Shifts by the width or more move every bit out; a negative count counts as large.
template <class T>
T shifted(Opcode op, T a, T b) {
  bool far = b < 0 || uint64_t(b) >= sizeof(T) * 8;
  if (op == Opcode::left_shift) return far ? T(0) : T(uint64_t(a) << b);
  return far ? T(a < 0 ? -1 : 0) : T(a >> b);
}

template <class T>
T binary(Opcode op, T a, T b) {
  switch (op) {
    case Opcode::add:
      return plus(a, b);
    case Opcode::multiply:
      return times(a, b);
    case Opcode::maximum:
      return larger(a, b);
    case Opcode::minimum:
      return smaller(a, b);
    case Opcode::power:
      return power(a, b);
    case Opcode::subtract:
      if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) return T(uint64_t(a) - uint64_t(b));
      if constexpr (std::is_same_v<T, bool>) return a != b;
      return T(a - b);
    default:
      break;
  }
  if constexpr (std::is_integral_v<T>) {
    if (op == Opcode::bitwise_and) return T(a & b);
    if (op == Opcode::bitwise_or) return T(a | b);
    if (op == Opcode::bitwise_xor) return T(a ^ b);
    if constexpr (!std::is_same_v<T, bool>) {
      if (op == Opcode::left_shift || op == Opcode::right_shift) return shifted(op, a, b);
      if (op == Opcode::floor_divide) return floor_divide(a, b);
      if (op == Opcode::remainder) return remainder(a, b);
    }
  } else {
    if (op == Opcode::divide) return a / b;
    if constexpr (!is_complex_type<T>) {
      if (op == Opcode::floor_divide) return floor_divide(a, b);
      if (op == Opcode::remainder) return remainder(a, b);
      if (op == Opcode::arctan2) return T(std::atan2(double(a), double(b)));
      if (op == Opcode::polygamma) return T(polygamma(double(a), double(b)));
      if (op == Opcode::exp_product) return T(std::exp(double(a) * double(b)));
      if (op == Opcode::logaddexp) return T(log_add_exp(double(a), double(b)));
    }
  }
  throw Error(cat("reference: ", opcode_info(op).name, " of these operands is missing"));
}

template <class T>
bool predicate(Opcode op, T a, T b) {
  auto real = [&](auto test) {
    if constexpr (is_complex_type<T>)
      return std::pair(test(a.real()), test(a.imag()));
    else if constexpr (std::is_floating_point_v<T>)
      return std::pair(test(a), test(a));
    else
      return std::pair(test(0.0), test(0.0));
  };
  bool ordered = !is_nan(a) && !is_nan(b);
  switch (op) {
    case Opcode::isnan:
      return is_nan(a);
    case Opcode::isinf: {
      auto [x, y] = real([](auto v) { return std::isinf(v); });
      return x || y;
    }
    case Opcode::isfinite: {
      auto [x, y] = real([](auto v) { return std::isfinite(v); });
      return x && y;
    }
    case Opcode::logical_not:
      return a == T(0);
    case Opcode::equal:
      return a == b;
    case Opcode::not_equal:
      return a != b;
    case Opcode::less:
      return ordered && less(a, b);
    case Opcode::less_equal:
      return ordered && !less(b, a);
    case Opcode::greater:
      return ordered && less(b, a);
    case Opcode::greater_equal:
      return ordered && !less(a, b);
    case Opcode::logical_and:
      return a != T(0) && b != T(0);
    default:
      return a != T(0) || b != T(0);
  }
}

// Types in registers: half precision is float32 there.
template <class F>
auto visit_register(Dtype dtype, F&& f) {
  return visit_dtype(is_half(dtype) ? Dtype::float32 : dtype, [&](auto tag) -> Cell {
    using T = typename decltype(tag)::type;
    if constexpr (is_half_type<T>)
      return {};
    else
      return f(tag);
  });
}

}  // namespace

Cell converted(Cell value, Dtype from, Dtype to) {
  return visit_dtype(from, [&](auto source) {
    return visit_dtype(to, [&](auto target) {
      using From = typename decltype(source)::type;
      using To = typename decltype(target)::type;
      return Cell::of(convert<To>(value.get<From>()));
    });
  });
}

Cell load(const std::byte* at, Dtype memory, Dtype as) {
  Cell cell;
  std::memcpy(cell.bits, at, item_size(memory));
  return memory == as ? cell : converted(cell, memory, as);
}

void store(std::byte* at, Dtype memory, Dtype from, Cell value) {
  Cell cell = memory == from ? value : converted(value, from, memory);
  std::memcpy(at, cell.bits, item_size(memory));
}

Cell computed(Opcode op, Dtype operands, Cell a, Cell b, Cell c) {
  if (op == Opcode::select) return a.get<bool>() ? b : c;
  if (op == Opcode::make_complex) return Cell::of(complex64_t(a.get<float>(), b.get<float>()));
  if (operands == Dtype::complex64) {
    complex64_t z = a.get<complex64_t>();
    if (op == Opcode::real) return Cell::of(z.real());
    if (op == Opcode::imag) return Cell::of(z.imag());
    if (op == Opcode::abs) return Cell::of(std::abs(z));
  }
  return visit_register(operands, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T x = a.get<T>(), y = b.get<T>();
    if (opcode_info(op).gives_bool()) return Cell::of(predicate(op, x, y));
    if (op == Opcode::fma) {
      if constexpr (std::is_floating_point_v<T>) return Cell::of(std::fma(x, y, c.get<T>()));
      return Cell::of(plus(times(x, y), c.get<T>()));
    }
    return Cell::of(opcode_info(op).arity == 1 ? unary(op, x) : binary(op, x, y));
  });
}

}  // namespace funcnn::reference
