// Inverse trigonometric functions of float64, to within 2 ulp.
#pragma once

#include "backends/cpu/simd/double.h"

namespace funcnn::cpu::simd {
namespace {

constexpr double kPiRest = 1.2246467991473532e-16;  // pi - kPi
// (arctan(t) / t - 1) / t^2 in t^2, for t in [0, 1]; relative error of arctan 6e-17.
constexpr double kAtanLong[] = {
    -0.3333333333333333,  0.1999999999999753,     -0.14285714285384132,  0.11111111093490827,     -0.09090908590891934,
    0.07692298971033217,  -0.06666564699289104,   0.05881506877793656,   -0.052579733342841106,   0.04737749579527779,
    -0.04260356632601652, 0.03749486812535247,    -0.031277189066996385, 0.023696731580048622,    -0.015535152475414177,
    0.008368931178450162, -0.0034958859739163094, 0.0010496035084968515, -0.00019996189377901382, 1.806195461861215e-5};
// (arcsin(s) / s - 1) / s^2 in s^2, for s in [0, 1/2]; relative error of arcsin 5e-18.
constexpr double kAsinLong[] = {0.16666666666666669, 0.07499999999998433,  0.04464285714635543,  0.030381944138531247,
                                0.02237217294214989, 0.017352392720869973, 0.013971212973552933, 0.011479177415184906,
                                0.01032281435018578, 0.005457506718640358, 0.01740087944269402,  -0.014851887071247204,
                                0.028757851367421566};

template <class D>
FUNCNN_INLINE D atan_unit_long(D t) {
  D z = t * t;
  return fma(t * z, polynomial(z, kAtanLong), t);
}
// arcsin of a up to 1/2, elsewhere of sqrt((1 - a) / 2), half of the angle that is left to pi / 2.
template <class D>
FUNCNN_INLINE D arcsin_part(D a) {
  auto far = a > 0.5;
  D z = select(far, 0.5 - 0.5 * a, a * a), s = select(far, sqrt(z), a);
  return fma(s * z, polynomial(z, kAsinLong), s);
}
template <class D>
FUNCNN_INLINE D quarter_less(D r) {
  return kPi / 2 - (r - kPiRest / 2);
}
template <class D>
FUNCNN_INLINE D half_less(D r) {
  return kPi - (r - kPiRest);
}
struct ArctanLong {
  template <class D>
  static FUNCNN_INLINE D apply(D x) {
    D a = fabs(x);
    auto steep = a > 1.0;
    D r = atan_unit_long(select(steep, 1.0 / a, a));
    return with_sign_long(select(steep, quarter_less(r), r), x);
  }
};
struct Arctan2Long {
  template <class D>
  static FUNCNN_INLINE D apply(D y, D x) {
    D ay = fabs(y), ax = fabs(x);
    auto steep = ay > ax;
    D low = select(steep, ax, ay), high = select(steep, ay, ax);
    D t = select(low == 0.0, D(0.0), select(low == kInfD, D(1.0), low / high));
    D r = atan_unit_long(t);
    r = select(steep, quarter_less(r), r);
    r = select(is_negative(x), half_less(r), r);
    return select((x != x) | (y != y), D(kNanD), with_sign_long(r, y));
  }
};

struct ArcsinLong {
  template <class D>
  static FUNCNN_INLINE D apply(D x) {
    D a = fabs(x), r = arcsin_part(a);
    return with_sign_long(select(a > 0.5, quarter_less(r + r), r), x);
  }
};
struct ArccosLong {
  template <class D>
  static FUNCNN_INLINE D apply(D x) {
    D a = fabs(x), r = arcsin_part(a), twice = r + r;
    D far = select(x < 0.0, half_less(twice), twice);
    return select(a > 0.5, far, quarter_less(with_sign_long(r, x)));
  }
};

}  // namespace
}  // namespace funcnn::cpu::simd
