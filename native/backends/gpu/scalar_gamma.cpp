// The gamma function's logarithm and the derivatives of that, of float32. Where the language has float64 they are
// computed in it; elsewhere near the roots of negative numbers, where large terms cancel, digits are lost: lgamma is
// right to 64 ulp there, digamma to 8.
#include "backends/gpu/scalar_texts.h"

namespace funcnn::gpu {

const std::vector<std::string_view> kMetalGammaFunctions = {
    R"text(// sin(pi d) and cos(pi d) for |d| <= 1 / 2
FUNCTION two sin_pi_two(f32 d) {
  f32 a = fabs(d);
  two r = a > 0.25f ? cos_series(two{3.1415927f, -8.742278e-08f} * (0.5f - a))
                    : sin_series(two{3.1415927f, -8.742278e-08f} * a);
  return d < 0.0f ? -r : r;
}
FUNCTION two cos_pi_two(f32 d) {
  f32 a = fabs(d);
  return a > 0.25f ? sin_series(two{3.1415927f, -8.742278e-08f} * (0.5f - a))
                   : cos_series(two{3.1415927f, -8.742278e-08f} * a);
}
)text",
    R"text(// By its series about 2, by products that lead there, by Stirling's formula. x > 0
FUNCTION two lgamma_two(f32 x) {
  if (x >= 10.0f) {
    two l = log_two({x, 0.0f}), z = 1.0f / two{x, 0.0f}, square = z * z;
    two series = z * polynomial(square, two{0.083333336f, -2.483527e-09f}, -0.00277777778f, 0.000793650794f,
                                -0.000595238095f, 0.000841750842f);
    two large = (l - 1.0f) * x;
    return fabs(large.hi) < INFINITY ? large - 0.5f * l + (two{0.9189385f, 1.5634177e-08f} + series)
                                     : two{INFINITY, 0.0f};
  }
  two product = {1.0f, 0.0f}, t = two_sum(x, -2.0f);
  while (t.hi > 0.5f) {
    product = product * (t + 1.0f);
    t = t - 1.0f;
  }
  two below = {1.0f, 0.0f};
  while (t.hi < -0.5f) {
    below = below * (t + 2.0f);
    t = t + 1.0f;
  }
  two r = t * polynomial(t, two{0.42278433f, 6.637774e-09f}, two{0.32246703f, 4.3294173e-09f},
                         two{-0.0673523f, 1.3192575e-09f}, two{0.020580808f, 7.270313e-10f},
                         two{-0.007385551f, -3.052268e-11f}, 0.00289051033f, -0.00119275391f, 0.000509669525f,
                         -0.000223154758f, 9.94575128e-05f, -4.49262367e-05f, 2.05072128e-05f, -9.43948828e-06f,
                         4.37486679e-06f, -2.03921575e-06f, 9.55141213e-07f);
  if (product.hi != 1.0f) r = r + log_two(product);
  return below.hi != 1.0f || below.lo != 0.0f ? r - log1p_two(below - 1.0f) : r;
}
)text",
    R"text(FUNCTION f32 lgamma_f32(f32 x) {
  if (x != x) return x;
  f32 a = fabs(x), d = x - rint(x);
  if (a == INFINITY || a == 0.0f) return INFINITY;
  if (a < 1e-9f) return -log_f32(a);
  if (x > 0.0f) return lgamma_two(x).hi;
  if (d == 0.0f) return INFINITY;
  return (two{1.1447299f, 3.317301e-08f} - log_two(a * sin_pi_two(fabs(d))) - lgamma_two(a)).hi;
}
)text",
    R"text(FUNCTION f32 digamma_f32(f32 x) {
  if (x != x) return x;
  if (x == 0.0f) return copysign(INFINITY, -x);
  if (fabs(x) == INFINITY) return x > 0.0f ? x : NAN;
  if (fabs(x) < 1e-9f) return -1.0f / x;
  two shift = {0.0f, 0.0f}, y = {x, 0.0f};
  if (x < 0.0f) {
    f32 d = x - rint(x);
    if (d == 0.0f) return NAN;
    shift = -two{3.1415927f, -8.742278e-08f} * (cos_pi_two(d) / sin_pi_two(d));
    y = two_sum(1.0f, -x);
  }
  for (; y.hi < 10.0f; y = y + 1.0f) shift = shift - 1.0f / y;
  two inverse = 1.0f / y, z = inverse * inverse;
  two series = z * polynomial(z, two{0.083333336f, -2.483527e-09f}, -0.00833333333f, 0.00396825397f, -0.00416666667f,
                              0.00757575758f, -0.0210927960f);
  return (shift + (log_two(y) - 0.5f * inverse - series)).hi;
}
)text",
    R"text(// x^s of a pair x in (0, 1]
FUNCTION two power_two(two x, f32 s) {
  two l = log1p_two(x - 1.0f) * s;
  if (!(l.hi > -80.0f)) return {0.0f, 0.0f};
  ScaledTwo e = exp_two(l);
  return e.m * scaled_f32(1.0f, e.n);
}
// m! / x^(m + 1)
FUNCTION f32 pole_size(f32 m, two x, two by) {
  if (m > 170.0f) {
    two l = lgamma_two(m + 1.0f) - log_two(x) * (m + 1.0f) + log_two(by);
    if (!(l.hi < 90.0f)) return INFINITY;
    if (l.hi < -110.0f) return 0.0f;
    ScaledTwo e = exp_two(l);
    return scaled_f32(e.m.hi, e.n);
  }
  two size = by / x;
  for (i32 i = 1; i <= i32(m); ++i) {
    size = size * (f32(i) / x);
    if (!(fabs(size.hi) < INFINITY)) return INFINITY;
  }
  return size.hi;
}
// The sum of m! / (x + k)^(m + 1) over all k >= 0, by Euler and Maclaurin's formula (DLMF 25.11.5).
FUNCTION f32 polygamma_size(f32 m, two x) {
  f32 s = m + 1.0f, share = 1.0f;
  two sum = {0.0f, 0.0f}, y = x;
  for (; y.hi < 2.0f * s + 10.0f && share > 1e-14f; y = y + 1.0f) {
    two p = power_two(x / y, s);
    share = p.hi;
    sum = sum + p;
  }
  if (share > 1e-14f) {
    f32 series = 0.0f, product = s / y.hi;
    UNROLL for (i32 j = 0; j < 4; ++j) {
      series += (j == 0   ? 0.0833333333f
                 : j == 1 ? -0.00138888889f
                 : j == 2 ? 3.30687831e-05f
                          : -8.26719577e-07f) *
                product;
      product *= (s + 2.0f * f32(j) + 1.0f) / y.hi * ((s + 2.0f * f32(j) + 2.0f) / y.hi);
    }
    sum = sum + power_two(x / y, s) * (y / two{m, 0.0f} + (0.5f + two{series, 0.0f}));
  }
  return pole_size(m - 1.0f, x, m / x * sum);
}
FUNCTION f32 polygamma_f32(f32 m, f32 x) {
  if (m == 0.0f) return digamma_f32(x);
  if (!(m > 0.0f) || floor(m) != m || m == INFINITY || x != x || x == -INFINITY) return NAN;
  bool odd = floor(m * 0.5f) * 2.0f != m;
  f32 sign = odd ? 1.0f : -1.0f;
  if (x == INFINITY) return sign * 0.0f;
  if (x > 0.0f) return sign * polygamma_size(m, {x, 0.0f});
  f32 d = x - rint(x);
  if (d == 0.0f) return odd ? INFINITY : x == 0.0f ? copysign(INFINITY, -x) : NAN;
  f32 pole = pole_size(m, {fabs(d), 0.0f}, {1.0f, 0.0f});
  if (d < 0.0f && !odd) pole = -pole;
  if (fabs(pole) == INFINITY) return sign * pole;
  f32 beyond = polygamma_size(m, two_sum(1.0f, -d)) - polygamma_size(m, two_sum(1.0f, -x));
  return sign * (pole + (polygamma_size(m, two_sum(1.0f, d)) + sign * beyond));
}
)text",
};
const std::vector<std::string_view> kCudaGammaFunctions = {
    R"text(FUNCTION f32 lgamma_f32(f32 x) { return f32(lgamma(f64(x))); }
)text",
    R"text(FUNCTION f32 digamma_f32(f32 x) { return f32(digamma_f64(f64(x))); }
)text",
    R"text(FUNCTION f32 polygamma_f32(f32 m, f32 x) { return f32(polygamma_f64(f64(m), f64(x))); }
)text",
};

}  // namespace funcnn::gpu
