// erf, erfc and the inverse of erf in float32.
#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

// Close to 0 x + x P(x^2), elsewhere 1 - erfc(x) with erfc(x) = 2^(-x Q(x)), which ends at 1. Both sums add little that
// is rounded to something exact, and so they are monotone, provided that Q keeps what its last step loses.
struct Erf {
  static FUNCNN_INLINE float apply(float x) {
    float a = std::fabs(x), y = at_most(a, 4.05f);
    Wide w = x;
    constexpr Wide p[] = {0.128379166f,   -0.37612626f,     0.112835787f,   -0.0268533509f,
                          0.00518717989f, -0.000799811562f, 7.80814808e-05f};
    constexpr Wide q0 = 1.62804699f;
    constexpr Wide q[] = {0.917329609f, 0.151626065f, -0.0328756347f, 0.00459295744f, -0.000303310953f};
    float near = float(fma(w, polynomial(w * w, p), w));
    Wide slope = polynomial(Wide(y), q);
    float sum = float(fma(Wide(y), slope, q0)), rest = float(fma(Wide(y), slope, q0 - sum));
    float far = 1.0f - exp2_product(-y, sum, rest);
    return a >= 1.0f ? with_sign(far, x) : near;
  }
};

// exp(-x^2) times a rational approximation of erfcx (relative error 9e-11), reflected for negative arguments.
struct Erfc {
  static FUNCNN_INLINE float apply(float x) {
    double y = clamp(std::fabs(x), 0.0f, 10.3f);
    constexpr double p[] = {
        1.0, 1.4337234781286341, 0.99994963057219488, 0.40194785739564287, 0.092674906970241305, 0.0099910793674034947};
    constexpr double q[] = {1.0,
                            2.5621026376823277,
                            2.8909730702783971,
                            1.8542099550842897,
                            0.72131114495748394,
                            0.16426091787276678,
                            0.017708749834443163};
    double r = exp_inner(-y * y) * (polynomial(y, p) / polynomial(y, q));
    return float(x < 0.0f ? 2.0 - r : r);
  }
};

// In w = -log(1 - x^2), after M. Giles, "Approximating the erfinv function" (2010), with coefficients of our own.
struct Erfinv {
  static FUNCNN_INLINE float apply(float x) {
    double y = double(x);
    double t = -y * y;
    double w = -log1p_inner(t);
    w = w > 0.0 ? w : 0.0;
    constexpr double centre[] = {1.50140935916146322,     0.246640286299850073,    -0.0041773867287605812,
                                 -0.00125274206781607955, 0.000218344413855566445, -4.96325579076095939e-6,
                                 -3.46269927001178398e-6, 4.66152344235284047e-7,  2.32322108482637678e-8,
                                 -8.78982575963585687e-9};
    constexpr double tail[] = {2.83297682105612614,     1.0016747967292674,        0.00944418525564760281,
                               -0.00763465980957580915, 0.00569607618161252062,    -0.00360961432890305905,
                               0.00146191715760705716,  -0.0000329538210331753238, -0.000291349799357269308,
                               0.0000986459372554723647};
    double near = polynomial(w - 2.5, centre), far = polynomial(std::sqrt(w) - 3.0, tail);
    float r = float(y * (w < 5.0 ? near : far));
    float a = std::fabs(x);
    r = a == 1.0f ? x * kInf : r;
    r = !(a <= 1.0f) ? kNan : r;
    return r;
  }
};

// The product of two float32 is exact in float64.
struct ExpProduct {
  static FUNCNN_INLINE float apply(float a, float b) {
    return float(exp_inner(clamp(double(a) * double(b), -110.0, 90.0)));
  }
};

}  // namespace

namespace FUNCNN_ISA {

void add_special(Table& t) {
  add_unary_one<Erf, float>(t, Opcode::erf);
  add_unary_one<Erfc, float>(t, Opcode::erfc);
  add_unary_one<Erfinv, float>(t, Opcode::erfinv);
  add_binary_one<ExpProduct, float>(t, Opcode::exp_product);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
