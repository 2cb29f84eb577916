// Functions of float64, which CUDA has alone: those that its library lacks.
#include "backends/gpu/scalar_texts.h"

namespace funcnn::gpu {

const std::vector<std::string_view> kDoubleFunctions = {
    R"text(// The chip's own negation is a sum, which leaves a NaN as it is.
FUNCTION f64 negative_f64(f64 x) {
  u64 b = bits<u64>(x);
  asm("xor.b64 %0, %0, 0x8000000000000000;" : "+l"(b));
  return bits<f64>(b);
}
)text",
    R"text(FUNCTION f64 sign_f64(f64 x) { return x != x ? x : x > 0.0 ? 1.0 : x < 0.0 ? -1.0 : 0.0; }
)text",
    R"text(FUNCTION f64 remainder_f64(f64 a, f64 b) {
  f64 r = fmod(a, b);
  if (r == 0.0) return copysign(0.0, b);
  return (r < 0.0) != (b < 0.0) ? r + b : r;
}
)text",
    R"text(FUNCTION f64 floor_divide_f64(f64 a, f64 b) {
  if (b == 0.0 || fabs(a) == INFINITY || fabs(b) == INFINITY) return a / b;
  f64 r = fmod(a, b), q = (a - r) / b;
  if (r != 0.0 && (r < 0.0) != (b < 0.0)) q -= 1.0;
  return q == 0.0 ? copysign(0.0, a / b) : rint(q);
}
)text",
    R"text(FUNCTION f64 sigmoid_f64(f64 x) { return x < -700.0 ? exp(x) : 1.0 / (1.0 + exp(-x)); }
)text",
    R"text(// The rounding of the product counts as many ulp as the product is large.
FUNCTION f64 exp_product_f64(f64 a, f64 b) {
  f64 p = a * b;
  return p > -1000.0 && p < 1000.0 ? exp(p) * (1.0 + fma(a, b, -p)) : exp(p);
}
)text",
    R"text(FUNCTION f64 normal_tail_f64(f64 a) {
  const f64 high = 0.70710678118654752440, low = -4.8336466567264565e-17;
  f64 t = a * high, rest = fma(a, high, -t) + a * low;
  return 0.5 * erfc(t) - 0.56418958354775628695 * exp(-t * t) * rest;
}
)text",
    R"text(FUNCTION f64 gelu_f64(f64 x) {
  f64 a = fabs(x);
  if (!(a < 40.0)) return x < 0.0 ? -0.0 : x;
  f64 tail = a * normal_tail_f64(a);
  return x < 0.0 ? -tail : x - tail;
}
)text",
    R"text(FUNCTION f64 gelu_derivative_f64(f64 x) {
  f64 a = fabs(x);
  if (!(a < 40.0)) return x < 0.0 ? -0.0 : x == x ? 1.0 : x;
  f64 tail = normal_tail_f64(a) - a * 0.39894228040143267794 * exp_product_f64(-0.5 * a, a);
  return x < 0.0 ? tail : 1.0 - tail;
}
)text",
    R"text(FUNCTION f64 logaddexp_f64(f64 a, f64 b) {
  if (a != a || b != b) return a + b;
  f64 high = a > b ? a : b, low = a > b ? b : a;
  return fabs(high) == INFINITY ? high : high + log1p(exp(low - high));
}
)text",
    R"text(FUNCTION f64 digamma_f64(f64 x) {
  if (x != x) return x;
  if (x == 0.0) return copysign(f64(INFINITY), -x);
  if (fabs(x) == INFINITY) return x > 0.0 ? x : f64(NAN);
  f64 shift = 0.0;
  if (x < 0.0) {
    f64 fraction = x - rint(x);
    if (fraction == 0.0) return NAN;
    shift = -3.14159265358979323846 / tan(3.14159265358979323846 * fraction);
    x = 1.0 - x;
  }
  for (; x < 10.0; x += 1.0) shift -= 1.0 / x;
  f64 z = 1.0 / (x * x);
  f64 series =
      z *
      (1.0 / 12 - z * (1.0 / 120 - z * (1.0 / 252 - z * (1.0 / 240 - z * (1.0 / 132 - z * (691.0 / 32760 - z / 12))))));
  return shift + log(x) - 0.5 / x - series;
}
)text",
    R"text(// m! / x^(m + 1)
FUNCTION f64 pole_size_f64(f64 m, f64 x) {
  if (m > 170.0) return exp(lgamma(m + 1.0) - (m + 1.0) * log(x));
  f64 size = 1.0 / x;
  for (i32 i = 1; i <= i32(m); ++i) size *= i / x;
  return size;
}
// The sum of m! / (x + k)^(m + 1) over all k >= 0, by Euler and Maclaurin's formula (DLMF 25.11.5).
FUNCTION f64 polygamma_size_f64(f64 m, f64 x) {
  f64 s = m + 1.0, sum = 0.0, y = x, share = 1.0;
  for (; y < 2.0 * s + 10.0 && share > 1e-18; y += 1.0) {
    share = pow(x / y, s);
    sum += share;
  }
  if (share > 1e-18) {
    const f64 c[7] = {1.0 / 12,           -1.0 / 720,     1.0 / 30240,
                      -1.0 / 1209600,     1.0 / 47900160, -691.0 / 1307674368000.0,
                      1.0 / 74724249600.0};
    f64 series = 0.5, product = s / y;
    for (i32 j = 0; j < 7; ++j) {
      series += c[j] * product;
      product *= (s + 2 * j + 1) / y * ((s + 2 * j + 2) / y);
    }
    sum += pow(x / y, s) * (y / m + series);
  }
  return pole_size_f64(m - 1.0, x) * (m / x * sum);
}
FUNCTION f64 polygamma_f64(f64 m, f64 x) {
  if (m == 0.0) return digamma_f64(x);
  if (!(m > 0.0) || floor(m) != m || m == INFINITY || x != x || x == -INFINITY) return NAN;
  bool odd = fmod(m, 2.0) == 1.0;
  f64 sign = odd ? 1.0 : -1.0;
  if (x == INFINITY) return sign * 0.0;
  if (x > 0.0) return sign * polygamma_size_f64(m, x);
  f64 d = x - rint(x);
  if (d == 0.0) return odd ? f64(INFINITY) : x == 0.0 ? copysign(f64(INFINITY), -x) : f64(NAN);
  f64 pole = pole_size_f64(m, fabs(d));
  if (d < 0.0 && !odd) pole = -pole;
  if (fabs(pole) == INFINITY) return sign * pole;
  return sign * (pole + (polygamma_size_f64(m, 1.0 + d) +
                         sign * (polygamma_size_f64(m, 1.0 - d) - polygamma_size_f64(m, 1.0 - x))));
}
)text",
};

}  // namespace funcnn::gpu
