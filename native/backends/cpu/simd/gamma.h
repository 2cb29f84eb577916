// log |Gamma| and its derivative for positive numbers of float32, computed in float64.
#pragma once

#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

// Up to 4 the roots at 1 and 2 times a quotient of polynomials, below 1/2 through the next number, and beyond
// Stirling's series.
struct Lgamma {
  static FUNCNN_INLINE float apply(float x) {
    double y = x, l = log_inner(y);
    bool low = y < 0.5, far = y > 4.0;
    double t = select(low, y + 1.0, y);
    constexpr double p[] = {2.169485619270659,  20.670581767054323, 30.845801130444725,
                            8.3953732164853591, 0.1701385074733077, -0.0028250797682930957};
    constexpr double q[] = {1.0, 19.113321355227195, 52.699938806457726, 31.333251757206547, 3.6962913961145317};
    double quotient = select(far, 1.0, polynomial(t, p)) / select(far, y, polynomial(t, q));
    double near = fma((t - 1.0) * (t - 2.0), quotient, select(low, -l, 0.0));
    constexpr double s[] = {0.083333310125825332, -0.0027753961067353682, 0.00072717975193612532};
    constexpr double half_log_2pi = 0.91893853320467274178;
    double series = fma(quotient, polynomial(quotient * quotient, s), half_log_2pi);
    return float(select(far, fma(y - 0.5, l, series - y), near));
  }
};

// Up to 5 the distance to the root times a quotient of polynomials, below 1 through the next number, and beyond the
// asymptotic series.
struct Digamma {
  static FUNCNN_INLINE float apply(float x) {
    double y = x, inverse = 1.0 / y;
    bool low = y < 1.0;
    double t = select(low, y + 1.0, y);
    constexpr double root = 1.46163214496836234126;
    constexpr double p[] = {1375.5264828297436, 3404.9563353818844, 1522.7810257309232, 128.560240977115,
                            0.48366055334021303};
    constexpr double q[] = {1.0, 2002.9837364371626, 2469.7890141936845, 639.39703310602116, 31.112000118230018};
    double near = fma(t - root, polynomial(t, p) / polynomial(t, q), select(low, -inverse, 0.0));
    constexpr double s[] = {0.083333289645664559, -0.0083263418595526959, 0.0036650538844345238};
    double z = inverse * inverse, far = fma(-z, polynomial(z, s), fma(inverse, -0.5, log_inner(y)));
    return float(select(y > 5.0, far, near));
  }
};

}  // namespace
}  // namespace funcnn::cpu::simd
