// Functions of float32 that float32 with fused products is good enough for: the polynomials of the CPU's kernels
// (backends/cpu/simd/math.h and its neighbours), with their bounds.
#include "backends/gpu/scalar_texts.h"

namespace funcnn::gpu {

const std::vector<std::string_view> kRealFunctions = {
    R"text(FUNCTION f32 sign_f32(f32 x) { return x != x ? x : x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : 0.0f; }
)text",
    R"text(FUNCTION f32 polynomial(f32, f32 c) { return c; }
template <class... Rest>
FUNCTION f32 polynomial(f32 x, f32 c, Rest... rest) {
  return fma(polynomial(x, rest...), x, c);
}
)text",
    R"text(// p 2^n for integral n in [-252, 254], exact but for the last rounding: two factors of half the exponent.
FUNCTION f32 scaled_f32(f32 p, f32 n) {
  i32 k = i32(n), half = k >> 1;
  return p * bits<f32>(u32(half + 127) << 23) * bits<f32>(u32(k - half + 127) << 23);
}
)text",
    R"text(FUNCTION f32 clamped_f32(f32 x, f32 low, f32 high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}
)text",
    R"text(// exp(r) - 1 for |r| <= log(2) / 2, of x = r + n log(2)
FUNCTION f32 exp_rest(f32 x, f32 n) {
  f32 r = fma(n, -1.428606765330187e-06f, fma(n, -0.693145751953125f, x));
  return fma(r * r,
             polynomial(r, 0.500000009969231287f, 0.166665186126761274f, 0.041666193044246616f, 0.00836891210372543695f,
                        0.00139512543998481467f),
             r);
}
)text",
    R"text(FUNCTION f32 exp_f32(f32 x) {
  x = clamped_f32(x, -104.0f, 89.0f);
  f32 n = rint(x * 1.44269504088896341f);
  return scaled_f32(1.0f + exp_rest(x, n), n);
}
)text",
    R"text(FUNCTION f32 expm1_f32(f32 x) {
  f32 y = clamped_f32(x, -20.0f, 89.0f), n = rint(y * 1.44269504088896341f), p = exp_rest(y, n);
  f32 half = bits<f32>(u32(i32(n) + 126) << 23);
  return x == 0.0f || x != x ? x : 2.0f * fma(half, p, half - 0.5f);
}
)text",
    R"text(FUNCTION f32 exp2_f32(f32 x) {
  x = clamped_f32(x, -152.0f, 129.0f);
  f32 n = rint(x), r = x - n;
  return scaled_f32(
      1.0f + fma(r, 0.693147182f,
                 r * r * polynomial(r, 0.240226477f, 0.0555035956f, 0.00961849932f, 0.00133909704f, 0.000153292698f)),
      n);
}
)text",
    R"text(// 2^(r + n) for |r| <= 1/2, relative error 2e-7. Monotone.
FUNCTION f32 exp2_reduced(f32 r, f32 n) {
  f32 p = fma(r, polynomial(r, 0.693147004f, 0.240222454f, 0.0555070676f, 0.00967136025f, 0.00132713537f), 1.0f);
  return bits<f32>(bits<u32>(p) + (u32(i32(n)) << 23));
}
)text",
    R"text(// x = (1 + f) 2^e with 1 + f in [sqrt(1/2), sqrt(2)); x positive and finite.
struct Split {
  f32 f, e;
};
FUNCTION Split log_split(f32 x) {
  bool small = x < 1.17549435e-38f;
  f32 y = small ? x * 33554432.0f : x;
  i32 b = i32(bits<u32>(y) - 0x3f3504f3u);
  return {bits<f32>(u32((b & 0x7fffff) + 0x3f3504f3)) - 1.0f, f32(b >> 23) - (small ? 25.0f : 0.0f)};
}
)text",
    R"text(// log(1 + f) - f
FUNCTION f32 log_rest(f32 f) {
  f32 square = f * f;
  return fma(f * square,
             polynomial(f, 0.333333104691753285f, -0.249999864508243696f, 0.200022244166974484f, -0.166692780333518046f,
                        0.142187464381685871f, -0.123837403628943907f, 0.118714838201071898f, -0.117933356624141825f,
                        0.0692360528222054992f),
             -0.5f * square);
}
)text",
    R"text(FUNCTION f32 log_edges(f32 x, f32 r) {
  return x != x ? x : x < 0.0f ? NAN : x == 0.0f ? -INFINITY : x == INFINITY ? x : r;
}
)text",
    R"text(FUNCTION f32 log_f32(f32 x) {
  Split s = log_split(x);
  return log_edges(x, fma(s.e, 0.693145751953125f, s.f + fma(s.e, 1.428606765330187e-06f, log_rest(s.f))));
}
)text",
    R"text(FUNCTION f32 log1p_f32(f32 x) {
  f32 u = 1.0f + x;
  Split s = log_split(u);
  f32 lost = x < 1.0f ? x - (u - 1.0f) : 1.0f - (u - x);
  f32 r = fma(s.e, 0.693145751953125f, s.f + fma(s.e, 1.428606765330187e-06f, log_rest(s.f) + lost / u));
  return x == 0.0f ? x : log_edges(u, r);
}
)text",
    R"text(FUNCTION f32 log2_f32(f32 x) {
  Split s = log_split(x);
  f32 high = 1.44140625f, low = 1.28879089e-3f;
  return log_edges(x, s.e + fma(s.f, high, fma(log_rest(s.f), high + low, s.f * low)));
}
)text",
    R"text(FUNCTION f32 log10_f32(f32 x) {
  Split s = log_split(x);
  f32 high = 0.43359375f, low = 7.00731903e-4f;
  return log_edges(x, fma(s.e, 0.301025390625f,
                          fma(s.f, high, fma(s.f, low, fma(log_rest(s.f), high + low, s.e * 4.60503898119521e-06f)))));
}
)text",
    R"text(FUNCTION f32 sigmoid_f32(f32 x) {
  bool tail = x < -80.0f;
  f32 e = exp_f32(tail ? x : -x);
  return tail ? e : 1.0f / (1.0f + e);
}
)text",
    R"text(// Close to 0 a polynomial, elsewhere 1 - 2 / (exp(2 a) + 1), which ends at 1.
FUNCTION f32 tanh_f32(f32 x) {
  f32 a = fabs(x), z = a * a, y = a < 15.0f ? a : 15.0f;
  f32 n = rint(y * 2.88539008177792681472f), e = exp2_reduced(fma(y, 2.88539008177792681472f, -n), n);
  f32 far = 1.0f - 2.0f / (e + 1.0f);
  f32 near = fma(a, z * polynomial(z, -0.333331436f, 0.133258715f, -0.053044986f, 0.0172404386f), a);
  return copysign(a >= 0.5f ? far : near, x);
}
)text",
    R"text(FUNCTION f32 logaddexp_f32(f32 a, f32 b) {
  f32 high = a > b ? a : b, low = a > b ? b : a;
  if (a != a || b != b) return a + b;
  return fabs(high) == INFINITY ? high : high + log1p_f32(exp_f32(low - high));
}
)text",
    R"text(// Close to 0 a polynomial, elsewhere 1 - erfc(x) with erfc(x) = 2^(-x Q(x)).
FUNCTION f32 erf_f32(f32 x) {
  f32 a = fabs(x), y = a < 4.05f ? a : 4.05f;
  f32 near = fma(x,
                 polynomial(x * x, 0.128379166f, -0.37612626f, 0.112835787f, -0.0268533509f, 0.00518717989f,
                            -0.000799811562f, 7.80814808e-05f),
                 x);
  f32 slope = polynomial(y, 0.917329609f, 0.151626065f, -0.0328756347f, 0.00459295744f, -0.000303310953f);
  f32 sum = fma(y, slope, 1.62804699f), rest = fma(y, slope, 1.62804699f - sum);
  f32 n = rint(-y * sum), far = 1.0f - exp2_reduced(fma(-y, rest, fma(-y, sum, -n)), n);
  return a >= 1.0f ? copysign(far, x) : near;
}
)text",
    R"text(// exp(-a^2 / 2) = (1 + less) 2^n
struct Density {
  f32 less, n;
};
FUNCTION Density normal_density(f32 a) {
  f32 n = rint(a * a * -0.721347520444481703680f);
  f32 v = fma(n, 2.857213530660374e-06f, fma(a, a, n * 1.38629150390625f));
  return {v * polynomial(v, -0.5f, 0.124999866f, -0.0208331514f, 0.002605065f, -0.000261509558f, 2.04411044e-05f), n};
}
)text",
    R"text(// With the quotient of the tail of the normal distribution and its density, which is smooth and rational.
FUNCTION f32 gelu_f32(f32 x) {
  f32 a = fabs(x);
  a = a < 14.65f ? a : 14.65f;
  Density e = normal_density(a);
  f32 top = polynomial(a, 0.5f, 0.456870079f, 0.197163984f, 0.0453721285f, 0.00482984213f);
  f32 bottom = fma(a, fma(2.50662827463100050242f, top,
                          polynomial(a, 0.458311319f, 0.114794537f, 0.012051628f, 1.2036744e-06f)), 1.0f);
  f32 ratio = top / bottom;
  return (x < 0.0f ? -0.0f : x) - scaled_f32(a * fma(ratio, e.less, ratio), e.n);
}
)text",
    R"text(FUNCTION f32 gelu_derivative_f32(f32 x) {
  f32 a = fabs(x);
  a = a < 14.65f ? a : 14.65f;
  Density e = normal_density(a);
  f32 common = polynomial(a, 0.665077984f, 0.776287854f, 0.39995864f, 0.104535945f, 0.0118770646f);
  f32 top = fma(0.75179154f - a, common, -1.211444945855772e-08f * common);
  f32 bottom =
      fma(2.50662827463100050242f, common, -polynomial(a, 0.667103291f, 0.513039649f, 0.16728285f, 0.0223803818f));
  f32 tail = scaled_f32(fma(top, e.less, top) / bottom, e.n);
  return x != x ? x : x < 0.0f ? tail : 1.0f - tail;
}
)text",
};

}  // namespace funcnn::gpu
