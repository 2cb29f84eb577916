// Exponentials, logarithms and hyperbolic functions of float32.
#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

// clang-format off
struct Exp { static FUNCNN_INLINE float apply(float x) { return exp_f32(x); } };
struct Expm1 { static FUNCNN_INLINE float apply(float x) { return expm1_f32(x); } };
struct Log { static FUNCNN_INLINE float apply(float x) { return log_f32(x); } };
// clang-format on

struct ExpOfDifference {
  static FUNCNN_INLINE float apply(float a, float b) { return exp_f32(a - b); }
};
struct Exp2 {
  static FUNCNN_INLINE float apply(float x) {
    x = clamp(x, -152.0f, 129.0f);
    float shifted = x + kShift;
    Wide r = x - (shifted - kShift);
    return scale(float(1.0f + fma(r, kExp2Slope, r * r * polynomial(r, kExp2))), shifted);
  }
};
struct Log1p {
  static FUNCNN_INLINE float apply(float x) {
    float u = 1.0f + x;
    Split s = split(u);
    // What the sum lost.
    float lost = x < 1.0f ? x - (u - 1.0f) : 1.0f - (u - x);
    float r = fma(s.e, kLn2High, s.f + fma(s.e, kLn2Low, log_rest(s.f) + lost / u));
    r = log_edges(u, r);
    return x == 0.0f ? x : r;
  }
};
struct Log2 {
  static FUNCNN_INLINE float apply(float x) {
    Split s = split(x);
    constexpr float high = 1.44140625f, low = 1.28879089e-3f;  // log2(e); high: 10 bits
    float rest = log_rest(s.f);
    float r = s.e + fma(s.f, high, fma(rest, high + low, s.f * low));
    return log_edges(x, r);
  }
};
struct Log10 {
  static FUNCNN_INLINE float apply(float x) {
    Split s = split(x);
    constexpr float high = 0.43359375f, low = 7.00731903e-4f;                     // log10(e)
    constexpr float two_high = 0.301025390625f, two_low = 4.60503898119521e-06f;  // log10(2)
    float rest = log_rest(s.f);
    float r = fma(s.e, two_high, fma(s.f, high, fma(s.f, low, fma(rest, high + low, s.e * two_low))));
    return log_edges(x, r);
  }
};

// 1 / (1 + exp(-x)), which is monotone because each step is; where the exponential would overflow, exp(x).
struct Sigmoid {
  static FUNCNN_INLINE float apply(float x) {
    bool tail = x < -80.0f;
    float e = exp_f32(tail ? x : -x);
    float r = 1.0f / (1.0f + e);
    return tail ? e : r;
  }
};

// Close to 0 a + a^3 P(a^2) for a = |x|, elsewhere 1 - 2 / (exp(2 a) + 1), which ends at 1. Monotone as each step is.
struct Tanh {
  static FUNCNN_INLINE float apply(float x) {
    float a = std::fabs(x), z = a * a;
    float y = at_most(a, 15.0f);
    constexpr float two_log2e = 2.88539008177792681472f;
    float e = exp2_product(y, two_log2e);
    float far = 1.0f - 2.0f / (e + 1.0f);
    constexpr float p[] = {-0.333331436f, 0.133258715f, -0.053044986f, 0.0172404386f};
    float near = fma(a, z * polynomial(z, p), a);
    return with_sign(a >= 0.5f ? far : near, x);
  }
};

struct Sinh {
  static FUNCNN_INLINE float apply(float x) {
    double y = clamp(std::fabs(x), 0.0f, 100.0f), z = y * y;
    double e = exp_inner(y);
    double large = 0.5 * (e - 1.0 / e);
    double small = fma(y * z, fma(z, fma(z, 1.0 / 5040, 1.0 / 120), 1.0 / 6), y);
    return with_sign(float((z < 0.09) ? small : large), x);
  }
};
struct Cosh {
  static FUNCNN_INLINE float apply(float x) {
    double e = exp_inner(clamp(std::fabs(x), 0.0f, 100.0f));
    return float(0.5 * (e + 1.0 / e));
  }
};

struct Arcsinh {
  static FUNCNN_INLINE float apply(float x) {
    double a = std::fabs(double(x));
    double r = log1p_inner(a + a * a / (1.0 + std::sqrt(fma(a, a, 1.0))));
    r = a == kInfD ? kInfD : r;
    r = a == 0.0 ? 0.0 : r;
    return x != x ? x : with_sign(float(r), x);
  }
};
struct Arccosh {
  static FUNCNN_INLINE float apply(float x) {
    double t = double(x) - 1.0;
    double r = log1p_inner(t + std::sqrt(t * (t + 2.0)));
    r = t == kInfD ? kInfD : r;
    return x < 1.0f || x != x ? kNan : float(r);
  }
};
struct Arctanh {
  static FUNCNN_INLINE float apply(float x) {
    double a = std::fabs(double(x));
    double r = 0.5 * log1p_inner(2.0 * a / (1.0 - a));
    r = a == 1.0 ? kInfD : r;
    r = !(a <= 1.0) ? kNanD : r;
    return with_sign(float(r), x);
  }
};
struct Logaddexp {
  static FUNCNN_INLINE float apply(float a, float b) {
    float high = a > b ? a : b, low = a > b ? b : a;
    float r = high + Log1p::apply(exp_f32(low - high));
    r = high == kInf || high == -kInf ? high : r;
    return a != a || b != b ? a + b : r;
  }
};

}  // namespace

namespace FUNCNN_ISA {

void add_exponential(Table& t) {
  add_unary_one<Exp, float>(t, Opcode::exp);
  add_binary_one<ExpOfDifference, float>(t, Opcode(kExpOfDifference));
  add_unary_one<Exp2, float>(t, Opcode::exp2);
  add_unary_one<Expm1, float>(t, Opcode::expm1);
  add_unary_one<Log, float>(t, Opcode::log);
  add_unary_one<Log1p, float>(t, Opcode::log1p);
  add_unary_one<Log2, float>(t, Opcode::log2);
  add_unary_one<Log10, float>(t, Opcode::log10);
  add_unary_one<Sigmoid, float>(t, Opcode::sigmoid);
  add_unary_one<Tanh, float>(t, Opcode::tanh);
  add_unary_one<Sinh, float>(t, Opcode::sinh);
  add_unary_one<Cosh, float>(t, Opcode::cosh);
  add_unary_one<Arcsinh, float>(t, Opcode::arcsinh);
  add_unary_one<Arccosh, float>(t, Opcode::arccosh);
  add_unary_one<Arctanh, float>(t, Opcode::arctanh);
  add_binary_one<Logaddexp, float>(t, Opcode::logaddexp);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
