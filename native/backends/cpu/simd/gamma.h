// log |Gamma| and its derivative in float32, computed in float64.
#pragma once

#include "backends/cpu/simd/double.h"

namespace funcnn::cpu::simd {
namespace {

// Of positive finite numbers: up to 4 the roots at 1 and 2 times a quotient of polynomials, below 1/2 through the next
// number, and beyond Stirling's series. Given log(y).
template <size_t M, size_t N, size_t K>
FUNCNN_INLINE double log_gamma(double y, double l, const double (&p)[M], const double (&q)[N], const double (&s)[K]) {
  bool low = y < 0.5, far = y > 4.0;
  double t = low ? y + 1.0 : y;
  double quotient = (far ? 1.0 : polynomial(t, p)) / (far ? y : polynomial(t, q));
  double near = fma((t - 1.0) * (t - 2.0), quotient, low ? -l : 0.0);
  constexpr double half_log_2pi = 0.91893853320467274178;
  double series = fma(quotient, polynomial(quotient * quotient, s), half_log_2pi);
  return far ? fma(y - 0.5, l, series - y) : near;
}
// Relative error 3e-15.
FUNCNN_INLINE double log_gamma_long(double y) {
  constexpr double p[] = {2.7219138101480337,   106.02054885315827,     880.1170716500435,  2454.6691254536587,
                          2681.7235121362887,   1178.0295572540831,     194.63584745189648, 9.547498364776434,
                          0.041045559348550666, -0.00024767633310523480};
  constexpr double q[] = {1.0,
                          64.20524678936803,
                          782.6893964102042,
                          3105.673385048132,
                          4853.61971138597,
                          3210.9140377453259,
                          891.5289788706405,
                          94.01830941107099,
                          2.7648786624419207};
  constexpr double s[] = {0.08333333333327404,    -0.0027777777461948034, 0.0007936457888996218, -0.0005948782006817139,
                          0.00082796578432009905, -0.0016168921345521992, 0.0025875429568730410};
  return log_gamma(y, log_of_split(split_long(y), 0.0), p, q, s);
}

// Distances to the nearest integer, from 0 to 1/2, of magnitudes of float32, which are whole from 2^23 on.
FUNCNN_INLINE double to_nearest(double a) {
  double c = a > 0x1p26 ? 0x1p26 : a;
  return c - nearest(c);
}
// sin(pi f) and cos(pi f), |f| <= 1/2: relative errors 2e-16.
FUNCNN_INLINE double sin_of_turn(double f) {
  constexpr double c[] = {3.141592653589793,    -5.167712780049753,     2.5501640398597751,    -0.599264528775690037,
                          0.082145878256391688, -0.0073703610710204673, 0.0004659776157434913, -2.1122952129792343e-5};
  return f * polynomial(f * f, c);
}
FUNCNN_INLINE double cos_of_turn(double f) {
  constexpr double c[] = {4.0,
                          -3.7392088021786822,
                          1.2780132969493236,
                          -0.2289978875187290,
                          0.025330969591044340,
                          -0.0019036696910220200,
                          0.00010351520916678892,
                          -4.1318279247905022e-6};
  return (0.5 - f) * (0.5 + f) * polynomial(f * f, c);
}
constexpr double kPiD = 3.14159265358979323846;

struct Lgamma {
  static FUNCNN_INLINE bool rare(float x) { return !((x > 0.0f) & (x < kInf)); }
  static FUNCNN_INLINE float near(float x) {
    constexpr double p[] = {2.169485619270659,  20.670581767054323, 30.845801130444725,
                            8.3953732164853591, 0.1701385074733077, -0.0028250797682930957};
    constexpr double q[] = {1.0, 19.113321355227195, 52.699938806457726, 31.333251757206547, 3.6962913961145317};
    constexpr double s[] = {0.083333310125825332, -0.0027753961067353682, 0.00072717975193612532};
    return float(log_gamma(x, log_inner(double(x)), p, q, s));
  }
  // By reflection: |Gamma(x) Gamma(-x)| = pi / |x sin(pi x)|. Near the roots, which are the nearer to
  // integers the further they are, both terms are small: full precision leaves enough.
  static FUNCNN_INLINE float far(float x) {
    double a = fabs(double(x)), f = fabs(to_nearest(a)), product = kPiD / (a * sin_of_turn(f));
    float r = float(log_of_split(split_long(product), 0.0) - log_gamma_long(a));
    return x != x ? x : f == 0.0 ? kInf : r;
  }
};
// Of y >= 1: up to 5 the distance to the root times a quotient of polynomials, and beyond the asymptotic series.
template <size_t M, size_t N, size_t K>
FUNCNN_INLINE double digamma_above_one(double y, double l, const double (&p)[M], const double (&q)[N],
                                       const double (&s)[K]) {
  constexpr double root = 1.4616321449683622, rest = 9.5499954299656977e-17;
  double near = ((y - root) - rest) * (polynomial(y, p) / polynomial(y, q));
  double inverse = 1.0 / y, z = inverse * inverse;
  return y > 5.0 ? fma(-z, polynomial(z, s), fma(inverse, -0.5, l)) : near;
}
struct Digamma {
  static FUNCNN_INLINE bool rare(float x) { return Lgamma::rare(x); }
  static FUNCNN_INLINE float near(float x) {
    double y = x;
    bool low = y < 1.0;
    constexpr double p[] = {1375.5264828297436, 3404.9563353818844, 1522.7810257309232, 128.560240977115,
                            0.48366055334021303};
    constexpr double q[] = {1.0, 2002.9837364371626, 2469.7890141936845, 639.39703310602116, 31.112000118230018};
    constexpr double s[] = {0.083333289645664559, -0.0083263418595526959, 0.0036650538844345238};
    double above = digamma_above_one(low ? y + 1.0 : y, log_inner(y), p, q, s);
    return float(low ? above - 1.0 / y : above);
  }
  // By reflection: digamma(1 - x) less pi / tan(pi x).
  static FUNCNN_INLINE float far(float x) {
    double a = fabs(double(x)), f = to_nearest(a);
    constexpr double p[] = {4455912.7471817363669, 14173186.988141281437, 12579927.583173860267, 4240711.2697963243656,
                            559109.42515300914015, 25050.849558627691608, 240.98681042041468469};
    constexpr double q[] = {1.0,
                            6512894.8529815645299,
                            12500776.583726372734,
                            7711532.9213694767536,
                            1901622.9111982821627,
                            185651.68018086764968,
                            6029.9017305924355328,
                            38.01999344907735773};
    constexpr double s[] = {0.08333333333322858,   -0.008333333271562066, 0.003968241168018534, -0.0041653729553476894,
                            0.0075036734475433807, -0.018779693881533693, 0.040715096554235016};
    double y = 1.0 + a;
    double r =
        digamma_above_one(y, log_of_split(split_long(y), 0.0), p, q, s) + kPiD * (cos_of_turn(f) / sin_of_turn(f));
    float pole = x == 0.0f ? with_sign(kInf, -x) : kNan;
    return x == kInf ? x : f == 0.0 ? pole : float(r);
  }
};

}  // namespace
}  // namespace funcnn::cpu::simd
