// Table entries that gain nothing from vectors: complex numbers, libm calls in float64, functions of many branches.
// Compiled once, for the baseline, because libm and std::complex bring inline functions that all objects share.
#include <cmath>
#include <complex>
#include <limits>
#include <type_traits>

#include "backends/cpu/simd/table.h"
#include "base/to_integer.h"

namespace funcnn::cpu::simd {
namespace {

constexpr double kPi = 3.14159265358979323846;

template <auto f, class R, class A>
void unary(void* out, const void* a, const void*, const void*, int64_t n) {
  R* o = static_cast<R*>(out);
  const A* x = static_cast<const A*>(a);
  for (int64_t i = 0; i < n; ++i) o[i] = f(x[i]);
}
template <auto f, class R, class A, int mask>
void binary(void* out, const void* a, const void* b, const void*, int64_t n) {
  R* o = static_cast<R*>(out);
  const A *x = static_cast<const A*>(a), *y = static_cast<const A*>(b);
  const A first = x[0], second = y[0];
  for (int64_t i = 0; i < n; ++i) o[i] = f(mask & 1 ? first : x[i], mask & 2 ? second : y[i]);
}

template <auto f, class A, class R = A>
void add1(Table& t, Opcode op, Dtype dtype) {
  t.compute[int(op)][int(dtype)][0] = unary<f, R, A>;
}
template <auto f, class A, class R = A>
void add2(Table& t, Opcode op, Dtype dtype) {
  ComputeFn* entry = t.compute[int(op)][int(dtype)];
  entry[0] = binary<f, R, A, 0>;
  entry[1] = binary<f, R, A, 1>;
  entry[2] = binary<f, R, A, 2>;
}

// Quotient and remainder round towards minus infinity, as in Python and NumPy.
template <class T>
T remainder(T a, T b) {
  T r = std::fmod(a, b);
  if (r == 0) return std::copysign(T(0), b);
  return (r < 0) != (b < 0) ? r + b : r;
}
template <class T>
T floor_divide(T a, T b) {
  // Of infinities the floor of the quotient, as the array API standard has it.
  if (b == 0 || std::isinf(a) || std::isinf(b)) return a / b;
  T r = std::fmod(a, b);
  T q = (a - r) / b;
  if (r != 0 && (r < 0) != (b < 0)) q -= T(1);
  if (q == 0) return std::copysign(T(0), a / b);
  T whole = std::floor(q);
  return q - whole > T(0.5) ? whole + T(1) : whole;
}

// Recurrence up to 10, from there the asymptotic series; reflection for negative arguments.
double digamma(double x) {
  if (std::isnan(x)) return x;
  if (x == 0) return std::copysign(std::numeric_limits<double>::infinity(), -x);
  if (std::isinf(x)) return x > 0 ? x : std::numeric_limits<double>::quiet_NaN();
  double shift = 0;
  if (x < 0) {
    double fraction = x - std::nearbyint(x);
    if (fraction == 0) return std::numeric_limits<double>::quiet_NaN();
    shift = -kPi / std::tan(kPi * fraction);
    x = 1 - x;
  }
  for (; x < 10; ++x) shift -= 1 / x;
  double z = 1 / (x * x);
  double series =
      z *
      (1.0 / 12 - z * (1.0 / 120 - z * (1.0 / 252 - z * (1.0 / 240 - z * (1.0 / 132 - z * (691.0 / 32760 - z / 12))))));
  return shift + std::log(x) - 0.5 / x - series;
}

double lgamma(double x) {
#if defined(__GLIBC__)
  int sign;  // the plain function writes a global
  return lgamma_r(x, &sign);
#else
  return std::lgamma(x);
#endif
}

// m! / x^(m + 1)
double pole_size(double m, double x) {
  if (m > 170) return std::exp(lgamma(m + 1) - (m + 1) * std::log(x));
  double size = 1 / x;
  for (int i = 1; i <= int(m); ++i) size *= i / x;
  return size;
}
// |polygamma(m, x)| for x > 0, the sum of m! / (x + k)^(m + 1) over all k >= 0, by Euler and Maclaurin's formula (DLMF
// 25.11.5). The elements are relative to the first, which may be out of range.
double polygamma_size(double m, double x) {
  double s = m + 1, sum = 0, y = x, share = 1;
  for (; y < 2 * s + 10 && share > 1e-18; ++y) {
    share = std::pow(x / y, s);
    sum += share;
  }
  if (share > 1e-18) {
    constexpr double c[] = {1.0 / 12,         -1.0 / 720,     1.0 / 30240,
                            -1.0 / 1209600,   1.0 / 47900160, -691.0 / 1307674368000,
                            1.0 / 74724249600};  // B(2 j) / (2 j)!
    double series = 0.5, product = s / y;
    for (int j = 0; j < 7; ++j) {
      series += c[j] * product;
      product *= (s + 2 * j + 1) / y * ((s + 2 * j + 2) / y);
    }
    sum += std::pow(x / y, s) * (y / m + series);
  }
  return pole_size(m - 1, x) * (m / x * sum);
}

double polygamma(double m, double x) {
  if (m == 0) return digamma(x);
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  if (!(m > 0) || std::floor(m) != m || std::isinf(m) || std::isnan(x) || x == -infinity) return nan;
  bool odd = std::fmod(m, 2) == 1;
  double sign = odd ? 1 : -1;
  if (x == infinity) return sign * 0.0;
  if (x > 0) return sign * polygamma_size(m, x);
  // Of the elements of the sum the one nearest to the pole, then those at 1 + d, 2 + d, ... and d - 1, d - 2, ... down
  // to x.
  double d = x - std::nearbyint(x);
  if (d == 0) return odd ? infinity : x == 0 ? std::copysign(infinity, -x) : nan;
  double pole = pole_size(m, std::fabs(d));
  if (d < 0 && !odd) pole = -pole;
  if (std::isinf(pole)) return sign * pole;
  return sign * (pole + (polygamma_size(m, 1 + d) + sign * (polygamma_size(m, 1 - d) - polygamma_size(m, 1 - x))));
}

void add_float64(Table& t) {
  constexpr Dtype d = Dtype::float64;
  // Angles beyond those that simd/double_trigonometric.cpp takes.
  add1<[](double x) { return std::sin(x); }, double>(t, Opcode::sin, d);
  add1<[](double x) { return std::cos(x); }, double>(t, Opcode::cos, d);
  add1<[](double x) { return std::tan(x); }, double>(t, Opcode::tan, d);
  add1<lgamma, double>(t, Opcode::lgamma, d);
  add1<digamma, double>(t, Opcode::digamma, d);
  add2<polygamma, double>(t, Opcode::polygamma, d);
  add2<remainder<double>, double>(t, Opcode::remainder, d);
  add2<floor_divide<double>, double>(t, Opcode::floor_divide, d);
}

void add_float32(Table& t) {
  constexpr Dtype d = Dtype::float32;
  add2<[](float m, float x) { return float(polygamma(double(m), double(x))); }, float>(t, Opcode::polygamma, d);
  add2<remainder<float>, float>(t, Opcode::remainder, d);
  add2<[](float a, float b) { return float(floor_divide<double>(a, b)); }, float>(t, Opcode::floor_divide, d);
  add2<[](float a, float b) { return complex64_t(a, b); }, float, complex64_t>(t, Opcode::make_complex, d);
  for (Dtype real : {Dtype::float32, Dtype::float64}) {
    auto same = real == Dtype::float32 ? unary<[](float x) { return x; }, float, float>
                                       : unary<[](double x) { return x; }, double, double>;
    t.compute[int(Opcode::real)][int(real)][0] = t.compute[int(Opcode::conjugate)][int(real)][0] = same;
  }
}

using Z = complex64_t;
using W = std::complex<double>;

bool less(Z a, Z b) { return a.real() != b.real() ? a.real() < b.real() : a.imag() < b.imag(); }
bool nan(Z a) { return std::isnan(a.real()) || std::isnan(a.imag()); }
bool finite(Z a) { return std::isfinite(a.real()) && std::isfinite(a.imag()); }
Z larger(Z a, Z b) { return nan(a) ? a : nan(b) ? b : less(a, b) ? b : a; }
Z smaller(Z a, Z b) { return nan(a) ? a : nan(b) ? b : less(b, a) ? b : a; }
bool truth(Z a) { return a != Z(0); }
Z power(Z a, Z b) {
  if (b == Z(0)) return Z(1);
  if (a == Z(0)) return b.real() > 0 ? Z(0) : Z(std::numeric_limits<float>::quiet_NaN());
  return Z(std::pow(W(a), W(b)));
}

template <class F>
Z through_double(F f, Z a) {
  return Z(f(W(a)));
}
// exp(z) - 1 = expm1(x) cos(y) - 2 sin(y / 2)^2 + i exp(x) sin(y), which keeps small numbers.
W expm1(W z) {
  if (!std::isfinite(z.real()) || !std::isfinite(z.imag())) return std::exp(z) - 1.0;
  double s = std::sin(0.5 * z.imag());
  return {std::expm1(z.real()) * std::cos(z.imag()) - 2 * s * s + 0.0, std::exp(z.real()) * std::sin(z.imag())};
}
// z / |z|; of infinity along one axis a unit along that axis, as in NumPy.
Z direction(Z z) {
  double size = std::abs(W(z));
  if (size == 0) return 0;
  auto unit = [](float part) { return std::isinf(part) ? std::copysign(1.0f, part) : std::copysign(0.0f, part); };
  if (std::isinf(z.real()) != std::isinf(z.imag()) && !nan(z)) return {unit(z.real()), unit(z.imag())};
  return Z(W(z) / size);
}
// C's Annex G leaves the sign of zero beside 1 to sin(2 y), the array API standard does not.
W tanh(W z) {
  if (std::isinf(z.real()) && std::isfinite(z.imag()))
    return {std::copysign(1.0, z.real()), std::copysign(0.0, z.imag())};
  return std::tanh(z);
}
W tan(W z) {
  W t = tanh(W(-z.imag(), z.real()));
  return {t.imag(), -t.real()};
}
W log1p(W z) {
  double x = z.real(), y = z.imag();
  if (std::fabs(x) > 0.5 || std::fabs(y) > 0.5) return std::log(1.0 + z);
  return {0.5 * std::log1p(x * (2 + x) + y * y), std::atan2(y, 1 + x)};
}
W sigmoid(W z) {
  if (z.real() >= 0) return 1.0 / (1.0 + std::exp(-z));
  W e = std::exp(z);
  return e / (1.0 + e);
}

void add_complex(Table& t) {
  constexpr Dtype d = Dtype::complex64;
#define FUNCNN_COMPLEX(opcode, expression) add1<[](Z a) -> Z { return expression; }, Z>(t, Opcode::opcode, d)
#define FUNCNN_WIDE(opcode, function) FUNCNN_COMPLEX(opcode, through_double([](W z) { return std::function(z); }, a))
  FUNCNN_COMPLEX(negative, -a);
  FUNCNN_COMPLEX(conjugate, std::conj(a));
  FUNCNN_COMPLEX(round, Z(std::nearbyint(a.real()), std::nearbyint(a.imag())));
  FUNCNN_COMPLEX(square, a * a);
  FUNCNN_COMPLEX(reciprocal, Z(1) / a);
  FUNCNN_COMPLEX(rsqrt, Z(1) / std::sqrt(a));
  FUNCNN_COMPLEX(sign, direction(a));
  FUNCNN_COMPLEX(log2, Z(std::log(W(a)) * 1.44269504088896340736));
  FUNCNN_COMPLEX(expm1, Z(expm1(W(a))));
  FUNCNN_COMPLEX(log1p, Z(log1p(W(a))));
  FUNCNN_COMPLEX(tanh, Z(tanh(W(a))));
  FUNCNN_COMPLEX(tan, Z(tan(W(a))));
  FUNCNN_COMPLEX(sigmoid, Z(sigmoid(W(a))));
  FUNCNN_WIDE(sqrt, sqrt);
  FUNCNN_WIDE(exp, exp);
  FUNCNN_WIDE(log, log);
  FUNCNN_WIDE(log10, log10);
  FUNCNN_WIDE(sin, sin);
  FUNCNN_WIDE(cos, cos);
  FUNCNN_WIDE(sinh, sinh);
  FUNCNN_WIDE(cosh, cosh);
  FUNCNN_WIDE(arcsin, asin);
  FUNCNN_WIDE(arccos, acos);
  FUNCNN_WIDE(arctan, atan);
  FUNCNN_WIDE(arcsinh, asinh);
  FUNCNN_WIDE(arccosh, acosh);
  FUNCNN_WIDE(arctanh, atanh);
#undef FUNCNN_WIDE
#undef FUNCNN_COMPLEX
  add1<[](Z a) { return std::abs(a); }, Z, float>(t, Opcode::abs, d);
  add1<[](Z a) { return a.real(); }, Z, float>(t, Opcode::real, d);
  add1<[](Z a) { return a.imag(); }, Z, float>(t, Opcode::imag, d);
  add1<nan, Z, bool>(t, Opcode::isnan, d);
  add1<finite, Z, bool>(t, Opcode::isfinite, d);
  add1<[](Z a) { return std::isinf(a.real()) || std::isinf(a.imag()); }, Z, bool>(t, Opcode::isinf, d);
  add1<[](Z a) { return !truth(a); }, Z, bool>(t, Opcode::logical_not, d);
  add2<[](Z a, Z b) { return a + b; }, Z>(t, Opcode::add, d);
  add2<[](Z a, Z b) { return a - b; }, Z>(t, Opcode::subtract, d);
  add2<[](Z a, Z b) { return a * b; }, Z>(t, Opcode::multiply, d);
  add2<[](Z a, Z b) { return a / b; }, Z>(t, Opcode::divide, d);
  add2<power, Z>(t, Opcode::power, d);
  add2<larger, Z>(t, Opcode::maximum, d);
  add2<smaller, Z>(t, Opcode::minimum, d);
  add2<[](Z a, Z b) { return a == b; }, Z, bool>(t, Opcode::equal, d);
  add2<[](Z a, Z b) { return a != b; }, Z, bool>(t, Opcode::not_equal, d);
  add2<less, Z, bool>(t, Opcode::less, d);
  add2<[](Z a, Z b) { return !nan(a) && !nan(b) && !less(b, a); }, Z, bool>(t, Opcode::less_equal, d);
  add2<[](Z a, Z b) { return less(b, a); }, Z, bool>(t, Opcode::greater, d);
  add2<[](Z a, Z b) { return !nan(a) && !nan(b) && !less(a, b); }, Z, bool>(t, Opcode::greater_equal, d);
  add2<[](Z a, Z b) { return truth(a) && truth(b); }, Z, bool>(t, Opcode::logical_and, d);
  add2<[](Z a, Z b) { return truth(a) || truth(b); }, Z, bool>(t, Opcode::logical_or, d);
}

template <class To, class From>
void cast(void* out, const void* in, int64_t n) {
  To* o = static_cast<To*>(out);
  const From* x = static_cast<const From*>(in);
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_same_v<From, Z> && std::is_same_v<To, Z>)
      o[i] = x[i];
    else if constexpr (std::is_same_v<From, Z> && std::is_same_v<To, bool>)
      o[i] = truth(x[i]);
    else if constexpr (std::is_same_v<From, Z> && std::is_integral_v<To>)
      o[i] = to_integer<To>(x[i].real());
    else if constexpr (std::is_same_v<From, Z>)
      o[i] = To(x[i].real());
    else
      o[i] = Z(float(x[i]), 0);
  }
}

template <Z (*f)(Z, Z)>
void reduce_rows(void* out, const void* in, int64_t rows, int64_t cols, int64_t stride, Z identity) {
  for (int64_t r = 0; r < rows; ++r) {
    // Pairwise by a binary counter, as for real numbers.
    const Z* x = static_cast<const Z*>(in) + r * stride;
    Z level[64];
    for (int64_t c = 0; c < cols; ++c) {
      Z v = x[c];
      int k = 0;
      for (int64_t bit = c; bit & 1; bit >>= 1) v = f(level[k++], v);
      level[k] = v;
    }
    Z v = identity;
    bool first = true;
    int k = 0;
    for (int64_t bit = cols; bit; bit >>= 1, ++k)
      if (bit & 1) {
        v = first ? level[k] : f(level[k], v);
        first = false;
      }
    static_cast<Z*>(out)[r] = v;
  }
}
template <Z (*f)(Z, Z)>
void reduce_cols(void* acc, const void* in, int64_t rows, int64_t cols, int64_t stride) {
  Z* a = static_cast<Z*>(acc);
  for (int64_t r = 0; r < rows; ++r) {
    const Z* x = static_cast<const Z*>(in) + r * stride;
    for (int64_t c = 0; c < cols; ++c) a[c] = f(a[c], x[c]);
  }
}
Z plus(Z a, Z b) { return a + b; }
Z times(Z a, Z b) { return a * b; }
template <Z (*f)(Z, Z), int identity>
void add_reduction(Table& t, ReduceOp op) {
  constexpr int d = int(Dtype::complex64);
  t.reduce_row[int(op)][d] = [](void* out, const void* in, int64_t rows, int64_t cols, int64_t stride) {
    reduce_rows<f>(out, in, rows, cols, stride, Z(float(identity)));
  };
  t.reduce_col[int(op)][d] = reduce_cols<f>;
}

}  // namespace

void add_scalar_operations(Table& t) {
  add_float64(t);
  add_float32(t);
  add_complex(t);
  for (int i = 0; i < kDtypeCount; ++i)
    visit_dtype(Dtype(i), [&](auto tag) {
      using T = typename decltype(tag)::type;
      t.cast[int(Dtype::complex64)][i] = cast<Z, T>;
      t.cast[i][int(Dtype::complex64)] = cast<T, Z>;
    });
  t.index[int(Dtype::complex64)] = [](void* out, int64_t start, int64_t n) {
    for (int64_t i = 0; i < n; ++i) static_cast<Z*>(out)[i] = Z(float(start + i), 0);
  };
  add_reduction<plus, 0>(t, ReduceOp::sum);
  add_reduction<times, 1>(t, ReduceOp::prod);
  add_reduction<larger, 0>(t, ReduceOp::max);
  add_reduction<smaller, 0>(t, ReduceOp::min);
}

}  // namespace funcnn::cpu::simd
