// erfc, the inverse of erf, GELU and its derivative in float64, to a few ulp also in the tails.
#pragma once

#include "backends/cpu/simd/double.h"

namespace funcnn::cpu::simd {
namespace {

// (1 + 2 y) exp(y^2) erfc(y) in (y - 3.75) / (y + 3.75), for y in [0, 28] (M. Shepherd and J. Laframboise, "Chebyshev
// approximation of (1 + 2 x) exp(x^2) erfc(x)", 1981); relative error 1e-16.
constexpr double kErfcx[] = {
    1.2375126308378277,    -0.14024059858554663,   0.003585415485439576,   0.08227673849010006,
    -0.10880393014045761,  0.09230432116225044,    -0.05869339861557158,   0.028362277383047398,
    -0.009746579295257933, 0.0017556262284450098,  0.0002937121574245422,  -0.00029015641208476314,
    5.165421548248807e-5,  2.23931981882943e-5,    -1.1454173186951395e-5, -9.950701048660069e-7,
    1.7612484630167294e-6, -2.5767825896065014e-8, -2.5877777061012165e-7, -2.4939883909341244e-9,
    3.0765786106553526e-8, 5.575698000886232e-9};
// exp(y^2) erfc(y) for y in [0, 28.3].
template <class D>
FUNCNN_INLINE D erfcx_long(D y) {
  D above = y + 3.75, line = fma(y, D(2.0), D(1.0)), inverse = 1.0 / (above * line);
  return polynomial((y - 3.75) * (line * inverse), kErfcx) * (above * inverse);
}

// exp(x + rest) as p 2^n, where the rest is little.
template <class D>
FUNCNN_INLINE Exponential<D> exponential_of_sum(D x, D rest) {
  x = without_tiny_long(x);
  D shifted = fma(x, D(kLog2ED), D(kShiftD)), n = shifted - kShiftD;
  D r = fma(n, D(-kLn2LowD), fma(n, D(-kLn2HighD), x)) + rest;
  return {1.0 + fma(r * r, polynomial(r, kExpLong), r), shifted};
}
// exp(-c y^2) for c a power of two.
template <class D>
FUNCNN_INLINE Exponential<D> exponential_of_square(D y, double c) {
  y = without_tiny_long(y);  // whose square is in range
  D square = y * y;
  return exponential_of_sum(-c * square, -c * product_rest(y, y, square));
}

struct ErfcLong {
  static constexpr double kUsual = 26.0;
  template <class D>
  static FUNCNN_INLINE D near(D x) {
    D y = clamp(fabs(x), D(0.0), D(kUsual));
    Exponential<D> e = exponential_of_square(y, 1.0);
    D r = scale_normal_long(e.p, e.shifted) * erfcx_long(without_tiny_long(y));
    return select(x < 0.0, 2.0 - r, r);
  }
  template <class D>
  static FUNCNN_INLINE D far(D x) {
    D y = clamp(fabs(x), D(0.0), D(28.0));
    Exponential<D> e = exponential_of_square(y, 1.0);
    D r = select(x < 0.0, D(2.0), scale_long(e.p * erfcx_long(y), e.shifted));
    return select(x != x, x, r);
  }
};

// Of a / sqrt(2).
template <class D>
FUNCNN_INLINE D half_of_erfcx(D a) {
  return 0.5 * erfcx_long(without_tiny_long(a) * 0.70710678118654752440);
}
// As those of float32: x less the tail of the normal distribution times a = |x|.
struct GeluLong {
  static constexpr double kUsual = 37.0;
  template <class D>
  static FUNCNN_INLINE D near(D x) {
    D a = clamp(fabs(x), D(0.0), D(kUsual));
    Exponential<D> e = exponential_of_square(a, 0.5);
    D tail = a * (scale_normal_long(e.p, e.shifted) * half_of_erfcx(a));
    return select(x < 0.0, -tail, x - tail);
  }
  template <class D>
  static FUNCNN_INLINE D far(D x) {
    D a = clamp(fabs(x), D(0.0), D(39.0));
    Exponential<D> e = exponential_of_square(a, 0.5);
    return select(x < 0.0, -scale_long(a * (e.p * half_of_erfcx(a)), e.shifted), x);
  }
};
struct GeluDerivativeLong {
  static constexpr double kUsual = 37.0;
  template <class D>
  static FUNCNN_INLINE D near(D x) {
    D a = clamp(fabs(x), D(0.0), D(kUsual));
    Exponential<D> e = exponential_of_square(a, 0.5);
    D tail = scale_normal_long(e.p, e.shifted) * part(a);
    return select(x < 0.0, -tail, 1.0 + tail);
  }
  template <class D>
  static FUNCNN_INLINE D far(D x) {
    D a = clamp(fabs(x), D(0.0), D(39.0));
    Exponential<D> e = exponential_of_square(a, 0.5);
    D r = select(x < 0.0, -scale_long(e.p * part(a), e.shifted), D(1.0));
    return select(x != x, x, r);
  }

 private:
  // Of the density: positive where the tail is small.
  template <class D>
  static FUNCNN_INLINE D part(D a) {
    return fma(without_tiny_long(a), D(0.39894228040143267794), -half_of_erfcx(a));
  }
};

// exp(a b): the rounding of the product counts as many ulp as the product is large.
struct ExpProductLong {
  template <class D>
  static FUNCNN_INLINE D apply(D a, D b) {
    D product = a * b, x = clamp(product, D(-745.2), D(709.9));
    D rest = select(x == product, product_rest(a, b, product), D(0.0));
    Exponential<D> e = exponential_of_sum(x, rest);
    return select(product != product, product, scale_long(e.p, e.shifted));
  }
};

// In w = -log(1 - x^2), after M. Giles, "Approximating the erfinv function" (2010), with coefficients of our own;
// beyond the usual numbers in sqrt(w).
struct ErfinvLong {
  static constexpr double kUsual = 0.99903;
  template <class D>
  static FUNCNN_INLINE D near(D x) {
    constexpr double c[] = {
        1.6536545626831027,      0.2401581824255883,      -0.00603367087142785,    -0.000740702534154477,
        0.00018673420802464837,  -1.3882523394405316e-5,  -1.3654691850603575e-6,  4.234788173782339e-7,
        -2.9070382262927266e-8,  -4.11266082002324e-9,    1.0512181539804126e-9,   -5.414287198084716e-11,
        -1.2976885526532075e-11, 2.6304834740560442e-12,  -8.118399443074353e-14,  -4.001237735091896e-14,
        6.596407712420834e-15,   -4.0282154327661744e-17, -1.3016928016796445e-16, 1.557432024623325e-17,
        1.150022252066253e-18,   -3.4996044354754177e-19, -1.113483769832702e-21,  3.240704459379902e-21};
    return x * polynomial(exponent(fabs(x)) - 3.125, c);
  }
  template <class D>
  static FUNCNN_INLINE D far(D x) {
    constexpr double middle[] = {3.0838856104922208,     1.0052589676941655,     0.005370914553555033,
                                 -0.0037512085082247342, 0.00249144209795696,    -0.0016882755354488555,
                                 0.0009532893415794137,  -0.0003550378137852452, 2.4031512865758357e-5,
                                 6.828711739251955e-5,   -4.732068066544697e-5,  1.2465028224217455e-5,
                                 2.93257845538535e-6,    -3.985705945648173e-6,  1.4815977874022539e-6,
                                 -2.761716223816241e-8,  -2.4549818963339823e-7, 1.3158663683192966e-7,
                                 -2.091453334773126e-8,  -1.5305397964152548e-8, 7.680200479077053e-9};
    constexpr double tail[] = {
        4.849906401408584,     1.0103004648645453,     -0.0001387193183793902, -0.00021503011982656274,
        7.599527807604776e-5,  -1.9681770719043677e-5, 4.526052743790951e-6,   -9.9302927406069e-7,
        2.290516780486715e-7,  -6.755650411430056e-8,  2.9021987809100164e-8,  -1.525464535688987e-8,
        7.815701028842222e-9,  -3.471592786518304e-9,  1.3217356090705066e-9,  -4.3752073162016196e-10,
        6.646144734325842e-11, 4.2883063927487056e-11, -1.968931701962242e-11};
    D a = fabs(x), s = sqrt(exponent(a));
    D r = x * select(s < 4.0, polynomial(s - 3.25, middle), polynomial(s - 5.0, tail));
    r = select(a == 1.0, x * kInfD, r);
    return select(a <= 1.0, r, D(kNanD));
  }

 private:
  template <class D>
  static FUNCNN_INLINE D exponent(D a) {
    return -log_of_split(split_long(select(a < 0.7, fnma(a, a, D(1.0)), (1.0 - a) * (1.0 + a))), D(0.0));
  }
};

}  // namespace
}  // namespace funcnn::cpu::simd
