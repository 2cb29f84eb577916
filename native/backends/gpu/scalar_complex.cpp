// Functions of complex numbers, with C's values for infinities.
#include "backends/gpu/scalar_texts.h"

namespace funcnn::gpu {

const std::vector<std::string_view> kComplexFunctions = {
    R"text(FUNCTION f32 exponent_of(f32 x) { return f32(i32(bits<u32>(x) >> 23) - 127); }
// Of z 2^-n as a pair; n near the exponent of the larger part.
FUNCTION two abs_scaled(c64 z, f32 n) {
  f32 x = scaled_f32(z.re, -n), y = scaled_f32(z.im, -n);
  return sqrt_two(two_product(x, x) + two_product(y, y));
}
FUNCTION f32 abs_c64(c64 z) {
  if (infinite(z)) return INFINITY;
  f32 m = larger(fabs(z.re), fabs(z.im));
  if (!(m > 0.0f)) return m;
  f32 n = exponent_of(m);
  return scaled_f32(abs_scaled(z, n).hi, n);
}
)text",
    R"text(FUNCTION c64 sign_c64(c64 z) {
  f32 m = larger(fabs(z.re), fabs(z.im));
  if (m == 0.0f) return {0.0f, 0.0f};
  bool along = (fabs(z.re) == INFINITY) != (fabs(z.im) == INFINITY) && !is_nan(z);  // an axis, infinite
  if (along) return boxed(z);
  if (!(m < INFINITY)) return {z.re / m, z.im / m};
  f32 n = exponent_of(m);
  two size = abs_scaled(z, n);
  return {(two{scaled_f32(z.re, -n), 0.0f} / size).hi, (two{scaled_f32(z.im, -n), 0.0f} / size).hi};
}
)text",
    R"text(// log(abs(z)), with its digits near the unit circle.
FUNCTION two log_abs_two(c64 z) {
  f32 m = larger(fabs(z.re), fabs(z.im));
  if (infinite(z)) return {INFINITY, 0.0f};
  if (!(m > 0.0f)) return {m == 0.0f ? -INFINITY : m, 0.0f};
  if (m > 0.5f && m < 1.5f) {
    f32 other = fabs(z.re) > fabs(z.im) ? z.im : z.re;
    two t = two_sum(m, -1.0f) * two_sum(m, 1.0f) + two_product(other, other);
    return log1p_two(t) * 0.5f;
  }
  f32 n = exponent_of(m);
  return log_two(abs_scaled(z, n)) + two{0.6931472f, -1.9046542e-09f} * n;
}
FUNCTION c64 log_c64(c64 z) { return {log_abs_two(z).hi, arctan2_f32(z.im, z.re)}; }
)text",
    R"text(FUNCTION c64 log1p_c64(c64 z) {
  f32 m = larger(fabs(z.re), fabs(z.im));
  two real = two_sum(z.re, 1.0f), t = z.re * (z.re + two{2.0f, 0.0f}) + two_product(z.im, z.im);
  if (!(m < 1e15f) || t.hi < -0.5f) return log_c64({real.hi, z.im});
  f32 angle = z.im == 0.0f && z.re > -1.0f ? z.im : atan2_two({z.im, 0.0f}, real).hi;
  return {z.re == 0.0f && t.hi == 0.0f ? z.re : (log1p_two(t) * 0.5f).hi, angle};
}
)text",
    R"text(// exp(x) (cos(y) + i sin(y)), for pairs.
FUNCTION c64 polar_c64(two x, two y) {
  x = x.hi > 174.0f ? two{174.0f, 0.0f} : x.hi < -174.0f ? two{-174.0f, 0.0f} : x;
  ScaledTwo e = exp_two(x);
  two s = sin_two(y.hi), c = cos_two(y.hi);
  two sine = s + c * y.lo, cosine = c - s * y.lo;
  return {scaled_f32((e.m * cosine).hi, e.n), y.hi == 0.0f ? y.hi : scaled_f32((e.m * sine).hi, e.n)};
}
)text",
    R"text(FUNCTION c64 exp_c64(c64 z) {
  if (z.im == 0.0f) return {exp_product_f32(z.re, 1.0f), z.im};
  if (fabs(z.re) < INFINITY && fabs(z.im) < INFINITY) return polar_c64({z.re, 0.0f}, {z.im, 0.0f});
  if (z.re == -INFINITY)
    return fabs(z.im) < INFINITY ? c64{copysign(0.0f, cos_f32(z.im)), copysign(0.0f, sin_f32(z.im))} : c64{0.0f, 0.0f};
  if (z.re == INFINITY) return {fabs(z.im) < INFINITY ? INFINITY * cos_f32(z.im) : INFINITY, INFINITY * sin_f32(z.im)};
  return {NAN, NAN};
}
)text",
    R"text(FUNCTION two expm1_two(f32 x) {
  f32 n = rint(x * 1.44269504088896341f), power = bits<f32>(u32(i32(n) + 127) << 23);
  two rest = exp_series(exp_remainder({x, 0.0f}, n));
  return rest * power + (power - 1.0f);
}
// expm1(x) cos(y) - 2 sin(y / 2)^2 + i exp(x) sin(y)
FUNCTION c64 expm1_c64(c64 z) {
  if (!(fabs(z.re) < 80.0f) || !(fabs(z.im) < INFINITY)) {
    c64 e = exp_c64(z);
    return {e.re - 1.0f + 0.0f, e.im};
  }
  two s = sin_two(0.5f * z.im);
  return {(expm1_two(z.re) * cos_two(z.im) - 2.0f * (s * s)).hi + 0.0f, exp_c64(z).im};
}
)text",
    R"text(FUNCTION c64 sinh_c64(c64 z) {
  if (z.im == 0.0f) return {sinh_f32(z.re), z.im};
  if (z.re == 0.0f) return {z.re, sin_f32(z.im)};
  if (fabs(z.re) == INFINITY && !(fabs(z.im) < INFINITY)) return {z.re, NAN};
  f32 s = sin_f32(z.im), c = cos_f32(z.im);
  if (!(fabs(z.re) > 20.0f)) return {sinh_f32(z.re) * c, cosh_f32(z.re) * s};
  ScaledTwo e = exp_two({fabs(z.re) < 174.0f ? fabs(z.re) : 174.0f, 0.0f});
  if (fabs(z.re) == INFINITY) return {z.re * c, INFINITY * s};
  return {copysign(1.0f, z.re) * scaled_f32(e.m.hi * c, e.n - 1.0f), scaled_f32(e.m.hi * s, e.n - 1.0f)};
}
)text",
    R"text(FUNCTION c64 cosh_c64(c64 z) {
  if (z.im == 0.0f) return {cosh_f32(z.re), z.re != z.re ? z.im : z.im * copysign(1.0f, z.re)};
  if (z.re == 0.0f) return {cos_f32(z.im), fabs(z.im) < INFINITY ? z.re * sin_f32(z.im) : z.re};
  if (fabs(z.re) == INFINITY && !(fabs(z.im) < INFINITY)) return {INFINITY, NAN};
  f32 s = sin_f32(z.im), c = cos_f32(z.im);
  if (!(fabs(z.re) > 20.0f)) return {cosh_f32(z.re) * c, sinh_f32(z.re) * s};
  if (fabs(z.re) == INFINITY) return {INFINITY * c, z.re * s};
  ScaledTwo e = exp_two({fabs(z.re) < 174.0f ? fabs(z.re) : 174.0f, 0.0f});
  return {scaled_f32(e.m.hi * c, e.n - 1.0f), copysign(1.0f, z.re) * scaled_f32(e.m.hi * s, e.n - 1.0f)};
}
)text",
    R"text(// W. Kahan, "Branch cuts for complex elementary functions" (1987), as the inverse functions below.
FUNCTION c64 tanh_c64(c64 z) {
  if (z.im == 0.0f) return {tanh_f32(z.re), z.im};
  if (z.re == 0.0f) return {z.re, tan_f32(z.im)};
  if (fabs(z.re) == INFINITY) return {copysign(1.0f, z.re), copysign(0.0f, z.im)};
  if (!(fabs(z.im) < INFINITY)) return {NAN, NAN};
  if (fabs(z.re) > 11.0f)
    return {copysign(1.0f, z.re), 4.0f * sin_f32(z.im) * cos_f32(z.im) * exp_f32(-2.0f * fabs(z.re))};
  f32 t = tan_f32(z.im), b = 1.0f + t * t, s = sinh_f32(z.re), d = 1.0f + b * s * s;
  return {b * sqrt(1.0f + s * s) * s / d, t / d};
}
)text",
    R"text(// Near the imaginary axis, where 1 + exp(-z) may cancel, by tanh.
FUNCTION c64 sigmoid_c64(c64 z) {
  c64 one = {1.0f, 0.0f};
  if (fabs(z.re) < 1.0f && fabs(z.im) < INFINITY) {
    c64 t = tanh_c64({0.5f * z.re, 0.5f * z.im});
    return {0.5f + 0.5f * t.re, 0.5f * t.im};
  }
  if (z.re >= 0.0f) return one / (one + exp_c64(-z));
  c64 e = exp_c64(z);
  return e / (one + e);
}
)text",
    R"text(FUNCTION c64 sqrt_c64(c64 z) {
  f32 m = larger(fabs(z.re), fabs(z.im));
  if (z.re == 0.0f && z.im == 0.0f) return {0.0f, z.im};
  if (fabs(z.im) == INFINITY) return {INFINITY, z.im};
  if (z.re == INFINITY) return {z.re, z.im != z.im ? z.im : copysign(0.0f, z.im)};
  if (z.re == -INFINITY) return z.im != z.im ? c64{NAN, INFINITY} : c64{0.0f, copysign(INFINITY, z.im)};
  if (m != m) return {NAN, NAN};
  // By an even power of two, so that nothing overflows.
  f32 half = rint(0.5f * exponent_of(m)), x = scaled_f32(z.re, -2.0f * half), y = scaled_f32(z.im, -2.0f * half);
  two size = sqrt_two(two_product(x, x) + two_product(y, y));
  two t = sqrt_two((size + fabs(x)) * 0.5f);
  f32 large = scaled_f32(t.hi, half), small = scaled_f32((two{fabs(y), 0.0f} / (t + t)).hi, half);
  return x >= 0.0f ? c64{large, copysign(small, z.im)} : c64{small, copysign(large, z.im)};
}
)text",
    R"text(FUNCTION c64 arcsin_c64(c64 z) {
  if (z.re == 0.0f && z.im != z.im) return z;
  f32 m = larger(fabs(z.re), fabs(z.im));
  if (infinite(z) || m > 1e18f)
    return {copysign(arctan2_f32(fabs(z.re), fabs(z.im)), z.re), copysign(log_abs_two(z).hi + 0.693147181f, z.im)};
  c64 s = sqrt_c64({1.0f - z.re, -z.im}), t = sqrt_c64({1.0f + z.re, z.im});
  return {arctan2_f32(z.re, s.re * t.re - s.im * t.im), arcsinh_f32(s.re * t.im - s.im * t.re)};
}
)text",
    R"text(FUNCTION c64 arccos_c64(c64 z) {
  if (z.re == 0.0f && z.im != z.im) return {1.57079632679489661923f, z.im};
  f32 m = larger(fabs(z.re), fabs(z.im));
  if (infinite(z) || m > 1e18f)
    return {arctan2_f32(fabs(z.im), z.re), copysign(log_abs_two(z).hi + 0.693147181f, -z.im)};
  c64 s = sqrt_c64({1.0f - z.re, -z.im}), t = sqrt_c64({1.0f + z.re, z.im});
  return {2.0f * arctan2_f32(s.re, t.re), arcsinh_f32(t.re * s.im - t.im * s.re)};
}
)text",
    R"text(FUNCTION c64 arcsinh_c64(c64 z) {
  c64 w = arcsin_c64({-z.im, z.re});
  return {w.im, -w.re};
}
)text",
    R"text(FUNCTION c64 arccosh_c64(c64 z) {
  if (z.re == 0.0f && z.im != z.im) return {z.im, 1.57079632679489661923f};
  f32 m = larger(fabs(z.re), fabs(z.im));
  if (infinite(z) || m > 1e18f) return {log_abs_two(z).hi + 0.693147181f, arctan2_f32(z.im, z.re)};
  c64 s = sqrt_c64({z.re - 1.0f, z.im}), t = sqrt_c64({z.re + 1.0f, z.im});
  return {arcsinh_f32(s.re * t.re + s.im * t.im), 2.0f * arctan2_f32(s.im, t.re)};
}
)text",
    R"text(FUNCTION c64 arctanh_c64(c64 z) {
  f32 x = fabs(z.re), m = larger(x, fabs(z.im));
  if (infinite(z))
    return {copysign(0.0f, z.re), z.im != z.im ? z.im : copysign(1.57079632679489661923f, z.im)};
  if (m > 1e15f) return {(c64{1.0f, 0.0f} / z).re, copysign(1.57079632679489661923f, z.im)};
  two down = two_sum(1.0f, -x), square = two_product(z.im, z.im), size = down * down + square;
  two angle = down * two_sum(1.0f, x) - square;
  f32 re = x == 0.0f          ? 0.0f
           : size.hi < 1e-30f ? 0.5f * (0.693147181f - log_abs_two({down.hi, z.im}).hi)
                              : (0.25f * log1p_two(4.0f * x / size)).hi;
  f32 im = z.im == 0.0f ? (x > 1.0f ? copysign(1.57079632679489661923f, z.im) : z.im)
                        : (0.5f * atan2_two({2.0f * z.im, 0.0f}, angle)).hi;
  return {copysign(re, z.re), m != m ? m : im};
}
)text",
    R"text(FUNCTION c64 power_c64(c64 a, c64 b) {
  if (b.re == 0.0f && b.im == 0.0f) return {1.0f, 0.0f};
  if (a.re == 0.0f && a.im == 0.0f) return b.re > 0.0f ? c64{0.0f, 0.0f} : c64{NAN, NAN};
  two size = log_abs_two(a), angle = atan2_two({a.im, 0.0f}, {a.re, 0.0f});
  return polar_c64(size * b.re - angle * b.im, angle * b.re + size * b.im);
}
)text",
    R"text(FUNCTION c64 sin_c64(c64 z) {
  c64 w = sinh_c64({-z.im, z.re});
  return {w.im, -w.re};
}
)text",
    R"text(FUNCTION c64 cos_c64(c64 z) { return cosh_c64({-z.im, z.re}); }
)text",
    R"text(FUNCTION c64 tan_c64(c64 z) {
  c64 w = tanh_c64({-z.im, z.re});
  return {w.im, -w.re};
}
)text",
    R"text(FUNCTION c64 arctan_c64(c64 z) {
  c64 w = arctanh_c64({-z.im, z.re});
  return {w.im, -w.re};
}
)text",
};

}  // namespace funcnn::gpu
