// erf and its inverse in float32.
#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

// x P(x^2) / Q(x^2) up to 3.93, from where erf rounds to 1; relative error of the fit 2e-8.
struct Erf {
  static FUNCNN_INLINE float apply(float x) {
    float y = clamp(x, -3.93f, 3.93f), z = y * y;
    constexpr float p[] = {1.12837914463f,    0.190838970073f,    0.0527975137832f,
                           0.00378192284055f, 0.000284852595554f, 2.04146250036e-6f};
    constexpr float q[] = {
        1.0f, 0.502459341675f, 0.114280252911f, 0.0150021170355f, 0.00116575629022f, 3.80010657575e-5f};
    float r = y * polynomial(z, p) / polynomial(z, q);
    r = r > 1.0f ? 1.0f : r;
    return r < -1.0f ? -1.0f : r;
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

}  // namespace

namespace FUNCNN_ISA {

void add_special(Table& t) {
  add_unary_one<Erf, float>(t, Opcode::erf);
  add_unary_one<Erfinv, float>(t, Opcode::erfinv);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
