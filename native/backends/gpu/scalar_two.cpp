// Functions of float32 that need more, in pairs of float32 whose sum counts (T. J. Dekker, "A floating-point technique
// for extending the available precision", 1971): about 45 bits. Metal has no float64, and most GPUs compute it slowly.
#include "backends/gpu/scalar_texts.h"

namespace funcnn::gpu {

const std::vector<std::string_view> kTwoFunctions = {
    R"text(struct two {
  f32 hi, lo;
};
FUNCTION two fast_two_sum(f32 a, f32 b) {
  f32 s = a + b;
  return {s, b - (s - a)};
}
FUNCTION two two_sum(f32 a, f32 b) {
  f32 s = a + b, t = s - a;
  return {s, (a - (s - t)) + (b - t)};
}
FUNCTION two two_product(f32 a, f32 b) {
  f32 p = a * b;
  return {p, fma(a, b, -p)};
}
FUNCTION two operator-(two a) { return {-a.hi, -a.lo}; }
FUNCTION two operator+(two a, two b) {
  two s = two_sum(a.hi, b.hi);
  return fast_two_sum(s.hi, s.lo + (a.lo + b.lo));
}
FUNCTION two operator+(two a, f32 b) {
  two s = two_sum(a.hi, b);
  return fast_two_sum(s.hi, s.lo + a.lo);
}
FUNCTION two operator+(f32 a, two b) { return b + a; }
FUNCTION two operator-(two a, two b) { return a + -b; }
FUNCTION two operator-(two a, f32 b) { return a + -b; }
FUNCTION two operator-(f32 a, two b) { return -b + a; }
FUNCTION two operator*(two a, two b) {
  two p = two_product(a.hi, b.hi);
  return fast_two_sum(p.hi, fma(a.hi, b.lo, fma(a.lo, b.hi, p.lo)));
}
FUNCTION two operator*(two a, f32 b) {
  two p = two_product(a.hi, b);
  return fast_two_sum(p.hi, fma(a.lo, b, p.lo));
}
FUNCTION two operator*(f32 a, two b) { return b * a; }
FUNCTION two operator/(two a, two b) {
  f32 q = a.hi / b.hi;
  return fast_two_sum(q, (fma(-q, b.hi, a.hi) + fma(-q, b.lo, a.lo)) / b.hi);
}
FUNCTION two operator/(f32 a, two b) { return two{a, 0.0f} / b; }
FUNCTION two sqrt_two(two a) {
  f32 s = sqrt(a.hi);
  return s > 0.0f ? fast_two_sum(s, (fma(-s, s, a.hi) + a.lo) / (s + s)) : two{s, 0.0f};
}
// The first coefficients may be pairs; what follows is computed in f32.
FUNCTION two polynomial(two, two c) { return c; }
template <class... Rest>
FUNCTION f32 polynomial(two x, f32 c, Rest... rest) {
  return polynomial(x.hi, c, rest...);
}
template <class... Rest>
FUNCTION two polynomial(two x, two c, Rest... rest) {
  return x * polynomial(x, rest...) + c;
}
)text",
    R"text(// exp(x) = m 2^n, for |x| < 200
struct ScaledTwo {
  two m;
  f32 n;
};
// exp(r) - 1 for |r| <= log(2) / 2
FUNCTION two exp_series(two r) {
  return r + r * r *
                 polynomial(r, two{0.5f, -4.000362e-12f}, two{0.16666667f, -4.967924e-09f}, 0.0416666669905731667f,
                            0.00833333338417830433f, 0.00138888073871449389f, 0.000198411683429379567f,
                            0.00002488235949759962f);
}
FUNCTION two exp_remainder(two x, f32 n) {
  return two_sum(fma(n, -0.693145751953125f, x.hi), x.lo) - two_product(n, 1.428606765330187e-06f);
}
FUNCTION ScaledTwo exp_two(two x) {
  f32 n = rint(x.hi * 1.44269504088896341f);
  return {1.0f + exp_series(exp_remainder(x, n)), n};
}
)text",
    R"text(// log((1 + s) / (1 - s)) / s, in z = s^2 for |s| < 0.18
FUNCTION two log_series(two z) {
  return polynomial(z, two{2.0f, 0.0f}, two{0.6666667f, -1.9868216e-08f}, two{0.4f, -5.9604646e-09f}, 0.285714286f,
                    0.222222222f, 0.181818182f, 0.153846154f);
}
// Of a positive normal number.
FUNCTION two log_two(two x) {
  i32 e = i32(bits<u32>(x.hi) - 0x3f3504f3u) >> 23;
  two m = {scaled_f32(x.hi, f32(-e)), scaled_f32(x.lo, f32(-e))};
  two s = (m - 1.0f) / (m + 1.0f);
  return s * log_series(s * s) + two{0.6931472f, -1.9046542e-09f} * f32(e);
}
FUNCTION two log1p_two(two t) {
  if (!(t.hi > -0.29f && t.hi < 0.4f)) return log_two(t + 1.0f);
  two s = t / (t + 2.0f);
  return s * log_series(s * s);
}
)text",
    R"text(FUNCTION two atan_unit(two t) {
  bool upper = t.hi > 0.414213562f;
  two u = upper ? (t - 1.0f) / (t + 1.0f) : t;
  two z = u * u;
  two r = u + u * (z * polynomial(z, two{-0.33333334f, 1.030311e-08f}, two{0.19999994f, 7.466473e-10f},
                                  -0.142854268909483765f, 0.111040603792277281f, -0.0899733256307889519f,
                                  0.0699332691626812838f, -0.0379596459147292727f));
  return upper ? r + two{0.7853982f, -2.1855694e-08f} : r;
}
// Signs and infinities as those of C.
FUNCTION two atan2_two(two y, two x) {
  if (y.hi != y.hi || x.hi != x.hi) return {NAN, 0.0f};
  two ay = y.hi < 0.0f ? -y : y, ax = x.hi < 0.0f ? -x : x;
  bool steep = ay.hi > ax.hi || (ay.hi == ax.hi && ay.lo > ax.lo);
  two low = steep ? ax : ay, high = steep ? ay : ax;
  two t = low.hi == 0.0f        ? two{0.0f, 0.0f}
          : low.hi == INFINITY  ? two{1.0f, 0.0f}
          : high.hi == INFINITY ? two{0.0f, 0.0f}
                                : low / high;
  two r = atan_unit(t);
  if (steep) r = two{1.5707964f, -4.371139e-08f} - r;
  if (bits<u32>(x.hi) >> 31) r = two{3.1415927f, -8.742278e-08f} - r;
  return bits<u32>(y.hi) >> 31 ? -r : r;
}
)text",
    R"text(FUNCTION f32 arctan2_f32(f32 y, f32 x) {
  f32 r = atan2_two({y, 0.0f}, {x, 0.0f}).hi;
  return r == 0.0f ? copysign(r, y) : r;
}
)text",
    R"text(FUNCTION f32 arctan_f32(f32 x) { return x == 0.0f ? x : atan2_two({x, 0.0f}, {1.0f, 0.0f}).hi; }
)text",
    R"text(FUNCTION f32 arcsin_f32(f32 x) {
  if (!(fabs(x) <= 1.0f)) return NAN;
  return x == 0.0f ? x : atan2_two({x, 0.0f}, sqrt_two(two_sum(1.0f, -x) * two_sum(1.0f, x))).hi;
}
)text",
    R"text(FUNCTION f32 arccos_f32(f32 x) {
  if (!(fabs(x) <= 1.0f)) return NAN;
  return atan2_two(sqrt_two(two_sum(1.0f, -x) * two_sum(1.0f, x)), {x, 0.0f}).hi;
}
)text",
    R"text(// The remainder of x by pi / 2, in [-pi / 4, pi / 4]; of huge numbers by the bits of 2 / pi that matter to them (M.
// Payne, R. Hanek, "Radian reduction for trigonometric functions", 1983).
CONSTANT u32 two_over_pi[8] = {0u,          0xa2f9836eu, 0x4e441529u, 0xfc2757d1u,
                               0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu};
struct Angle {
  two r;
  u32 quadrant;
};
FUNCTION Angle angle_two(f32 x) {
  f32 a = fabs(x);
  if (!(a < INFINITY)) return {{NAN, 0.0f}, 0u};
  if (a < 131072.0f) {
    f32 n = rint(x * 0.636619772367581343076f);
    two high = two_product(n, 4.37113882867e-08f);
    two r = two_sum(fma(n, -1.57079637050628662109f, x), high.hi);
    return {fast_two_sum(r.hi, r.lo + fma(n, 1.71512451e-15f, high.lo)), u32(i32(n))};
  }
  u32 b = bits<u32>(a), first = (b >> 23) - 120u, word = first / 32u, by = first % 32u;
  u32 w[3];
  for (u32 i = 0; i < 3u; ++i)
    w[i] = by ? two_over_pi[word + i] << by | two_over_pi[word + i + 1u] >> (32u - by) : two_over_pi[word + i];
  // The product modulo 4, with 94 bits behind the point.
  u64 m = (b & 0x7fffffu) | 0x800000u, low = m * w[2], middle = m * w[1] + (low >> 32);
  u32 top = u32(m * w[0] + (middle >> 32));
  i64 fraction = i64(u64(top) << 34 | u64(u32(middle)) << 2 | u64(u32(low) >> 30));
  u32 quadrant = (top >> 30) + (fraction < 0 ? 1u : 0u);
  i64 part = fraction / 4;
  f32 hi = f32(part);
  two r = two{hi, f32(part - i64(hi))} * 2.16840434497100887e-19f * two{1.5707964f, -4.371139e-08f};
  if (x < 0.0f) {
    r = -r;
    quadrant = 0u - quadrant;
  }
  return {r, quadrant};
}
FUNCTION two sin_series(two r) {
  two z = r * r;
  return r + r * (z * polynomial(z, two{-0.16666667f, 4.967054e-09f}, 0.00833333333f, -0.000198412698f, 2.75573192e-06f,
                                 -2.50521084e-08f));
}
FUNCTION two cos_series(two r) {
  two z = r * r;
  return 1.0f + z * polynomial(z, two{-0.5f, 0.0f}, two{0.041666668f, -1.2417635e-09f}, -0.00138888889f,
                               2.48015873e-05f, -2.75573192e-07f);
}
)text",
    R"text(FUNCTION two sin_two(f32 x) {
  Angle a = angle_two(x);
  two r = a.quadrant & 1u ? cos_series(a.r) : sin_series(a.r);
  return a.quadrant & 2u ? -r : r;
}
)text",
    R"text(FUNCTION two cos_two(f32 x) {
  Angle a = angle_two(x);
  two r = a.quadrant & 1u ? sin_series(a.r) : cos_series(a.r);
  return (a.quadrant + 1u) & 2u ? -r : r;
}
)text",
    R"text(FUNCTION f32 sin_f32(f32 x) { return x == 0.0f ? x : sin_two(x).hi; }
)text",
    R"text(FUNCTION f32 cos_f32(f32 x) { return cos_two(x).hi; }
)text",
    R"text(FUNCTION f32 tan_f32(f32 x) {
  Angle a = angle_two(x);
  two s = sin_series(a.r), c = cos_series(a.r);
  return x == 0.0f ? x : (a.quadrant & 1u ? -c / s : s / c).hi;
}
)text",
    R"text(FUNCTION f32 sinh_f32(f32 x) {
  f32 a = fabs(x), y = a < 100.0f ? a : 100.0f;
  if (a != a) return x;
  two z = two_product(y, y);
  if (z.hi < 0.09f)
    return copysign((y + y * (z * polynomial(z, two{0.16666667f, -4.967054e-09f}, 0.00833333333f, 0.000198412698f))).hi,
                    x);
  ScaledTwo e = exp_two({y, 0.0f});
  if (y > 20.0f) return copysign(scaled_f32(e.m.hi, e.n - 1.0f), x);
  two m = e.m * bits<f32>(u32(i32(e.n) + 126) << 23);
  return copysign((m - 0.25f / m).hi, x);
}
)text",
    R"text(FUNCTION f32 cosh_f32(f32 x) {
  f32 a = fabs(x), y = a < 100.0f ? a : 100.0f;
  if (a != a) return x;
  ScaledTwo e = exp_two({y, 0.0f});
  if (y > 20.0f) return scaled_f32(e.m.hi, e.n - 1.0f);
  two m = e.m * bits<f32>(u32(i32(e.n) + 126) << 23);
  return (m + 0.25f / m).hi;
}
)text",
    R"text(FUNCTION f32 arcsinh_f32(f32 x) {
  f32 a = fabs(x);
  if (!(a < INFINITY) || a < 1e-15f) return x;
  if (a > 65536.0f) return copysign((log_two({a, 0.0f}) + two{0.6931472f, -1.9046542e-09f}).hi, x);
  two square = two_product(a, a);
  return copysign(log1p_two(a + square / (1.0f + sqrt_two(square + 1.0f))).hi, x);
}
)text",
    R"text(FUNCTION f32 arccosh_f32(f32 x) {
  if (!(x >= 1.0f)) return NAN;
  if (x > 65536.0f) return x == INFINITY ? x : (log_two({x, 0.0f}) + two{0.6931472f, -1.9046542e-09f}).hi;
  two t = two_sum(x, -1.0f);
  return log1p_two(t + sqrt_two(t * (t + 2.0f))).hi;
}
)text",
    R"text(FUNCTION f32 arctanh_f32(f32 x) {
  f32 a = fabs(x);
  if (!(a < 1.0f)) return a == 1.0f ? copysign(INFINITY, x) : NAN;
  return a < 1e-15f ? x : copysign((0.5f * log1p_two((a + a) / two_sum(1.0f, -a))).hi, x);
}
)text",
    R"text(// exp(-x^2) times a rational approximation, reflected for negative arguments.
FUNCTION f32 erfc_f32(f32 x) {
  f32 y = clamped_f32(fabs(x), 0.0f, 10.3f);
  two t = {y, 0.0f};
  two p =
      polynomial(t, two{1.0f, 0.0f}, two{1.4337234f, 2.8421603e-08f}, two{0.99994963f, -3.50297e-09f},
                 two{0.40194786f, 1.446241e-09f}, two{0.0926749f, 3.3986356e-09f}, two{0.00999108f, -2.0145942e-10f});
  two q = polynomial(t, two{1.0f, 0.0f}, two{2.5621026f, 8.145369e-08f}, two{2.890973f, -2.0847091e-08f},
                     two{1.8542099f, 5.5181946e-08f}, two{0.72131115f, -7.02387e-09f},
                     two{0.16426092f, -5.9896905e-09f}, two{0.01770875f, -6.0722727e-10f});
  ScaledTwo e = exp_two(-two_product(y, y));
  two r = e.m * (p / q);
  if (x < 0.0f) return (2.0f - two{scaled_f32(r.hi, e.n), scaled_f32(r.lo, e.n)}).hi;
  return x != x ? x : scaled_f32(r.hi, e.n);
}
)text",
    R"text(// In w = -log(1 - x^2), after M. Giles, "Approximating the erfinv function" (2010).
FUNCTION f32 erfinv_f32(f32 x) {
  f32 a = fabs(x);
  if (!(a < 1.0f)) return a == 1.0f ? copysign(INFINITY, x) : NAN;
  if (a == 0.0f) return x;
  two w = -log1p_two(-two_product(x, x));
  if (w.hi < 5.0f)
    return (x * polynomial(w - 2.5f, two{1.5014094f, -5.2268895e-08f}, two{0.24664028f, 6.4107435e-09f},
                           two{-0.004177387f, 1.437098e-10f}, -0.00125274206781607955f, 0.000218344413855566445f,
                           -4.96325579076095939e-6f, -3.46269927001178398e-6f, 4.66152344235284047e-7f,
                           2.32322108482637678e-8f, -8.78982575963585687e-9f))
        .hi;
  return (x * polynomial(sqrt_two(w) - 3.0f, two{2.8329768f, 2.9714093e-09f}, two{1.0016748f, 2.5420368e-08f},
                         0.00944418525564760281f, -0.00763465980957580915f, 0.00569607618161252062f,
                         -0.00360961432890305905f, 0.00146191715760705716f, -0.0000329538210331753238f,
                         -0.000291349799357269308f, 0.0000986459372554723647f))
      .hi;
}
)text",
    R"text(FUNCTION f32 exp_product_f32(f32 a, f32 b) {
  f32 p = a * b;
  if (!(p > -110.0f)) return p != p ? p : 0.0f;
  if (p > 90.0f) return INFINITY;
  ScaledTwo e = exp_two(two_product(a, b));
  return scaled_f32(e.m.hi, e.n);
}
)text",
    R"text(// Rules of IEEE 754's pow.
FUNCTION f32 power_f32(f32 x, f32 y) {
  if (y == 0.0f || x == 1.0f) return 1.0f;
  f32 a = fabs(x);
  if (a != a || y != y) return x + y;
  if (a == 1.0f && fabs(y) == INFINITY) return 1.0f;
  bool integral = rint(y) == y, odd = integral && rint(y * 0.5f) * 2.0f != y && fabs(y) < 16777216.0f;
  bool flips = odd && bits<u32>(x) >> 31;
  f32 r;
  if (a == 0.0f || a == INFINITY) {
    r = (a == 0.0f) == (y > 0.0f) ? 0.0f : INFINITY;
  } else if (x < 0.0f && !integral) {
    return NAN;
  } else {
    bool small = a < 1.17549435e-38f;
    two l =
        (log_two({small ? a * 33554432.0f : a, 0.0f}) - (small ? two{17.32868f, -5.244535e-07f} : two{0.0f, 0.0f})) *
        two{1.442695f, 1.925963e-08f};
    f32 rough = l.hi * y;
    if (!(fabs(rough) < 160.0f)) {
      r = rough > 0.0f ? INFINITY : 0.0f;
    } else {
      two t = l * y;
      f32 n = rint(t.hi);
      r = scaled_f32((1.0f + exp_series((t - n) * two{0.6931472f, -1.9046542e-09f})).hi, n);
    }
  }
  return flips ? -r : r;
}
)text",
};

}  // namespace funcnn::gpu
