// Exponentials and logarithms of float64 to other bases, hyperbolic functions and their inverses, to within 2 ulp or
// so.
#pragma once

#include "backends/cpu/simd/double.h"

namespace funcnn::cpu::simd {
namespace {

// (2^r - 1 - r log(2)) / r^2 for |r| <= 1/2; relative error of 2^r 3e-18.
constexpr double kExp2Long[] = {0.24022650695910072,    0.0555041086648216,     0.009618129107628479,
                                0.0013333558146416936,  0.00015403530393375914, 1.525273382983612e-5,
                                1.3215486802903931e-6,  1.0178062445845774e-7,  7.054899956372649e-9,
                                4.4549605981865186e-10, 2.572508057683636e-11};

struct Exp2Long {
  static constexpr double kUsual = 1022.0;
  template <class D>
  static FUNCNN_INLINE D near(D x) {
    Exponential<D> e = parts(x);
    return scale_normal_long(e.p, e.shifted);
  }
  template <class D>
  static FUNCNN_INLINE D far(D x) {
    Exponential<D> e = parts(clamp(x, D(-1075.2), D(1024.4)));
    return select(x != x, x, scale_long(e.p, e.shifted));
  }

 private:
  template <class D>
  static FUNCNN_INLINE Exponential<D> parts(D x) {
    D y = without_tiny_long(x), shifted = y + kShiftD, r = y - (shifted - kShiftD);
    return {1.0 + fma(r, D(kLn2D), r * r * polynomial(r, kExp2Long)), shifted};
  }
};

// log(1 + f) - f
template <class D>
FUNCNN_INLINE D log_rest_long(D f) {
  D s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
  return fms(s, half + z * polynomial(z, kLogLong), half);
}
struct Log2Long {
  template <class D>
  static FUNCNN_INLINE D apply(D x) {
    Split<D> s = split_long(x);
    constexpr double low = 2.0355273740931033e-17;  // log2(e) - kLog2ED
    D rest = fma(log_rest_long(s.f), D(kLog2ED), s.f * low);
    return log_edges_long(x, s.e + fma(s.f, D(kLog2ED), rest));
  }
};
struct Log10Long {
  template <class D>
  static FUNCNN_INLINE D apply(D x) {
    Split<D> s = split_long(x);
    constexpr double log10_e = 0.43429448190325182765, low = 1.098319650216765e-17;
    constexpr double log10_2 = 0.30102999566398119521, two_low = -2.8037281277851704e-18;
    D rest = fma(log_rest_long(s.f), D(log10_e), fma(s.f, D(low), s.e * two_low));
    return log_edges_long(x, fma(s.e, D(log10_2), fma(s.f, D(log10_e), rest)));
  }
};

// exp(a) / 4 for a >= 0, which is finite as far as sinh and cosh are.
template <class D>
FUNCNN_INLINE D quarter_of_exp(Exponential<D> e) {
  D quarter = power_of_two_shifted(e.shifted - 2.0);
  return fma(quarter, e.p, quarter);
}
constexpr double kHyperbolicEnd = 710.6;
struct SinhLong {
  template <class D>
  static FUNCNN_INLINE D apply(D x) {
    D size = fabs(x);
    Exponential<D> e = exponential_less_one_long(clamp(size, D(0.0), D(kHyperbolicEnd)));
    // Close to 0 half of t + t / (t + 1) with t = exp(a) - 1, else half of exp(a) - exp(-a).
    D power = power_of_two_shifted(e.shifted - 1.0), t = fma(power, e.p, power - 0.5), q = quarter_of_exp(e);
    auto near = size < 1.0;
    D r = select(near, t, q + q) + select(near, t, D(-0.125)) / select(near, t + t + 1.0, q);
    return with_sign_long(select(size < 1e-9, size, r), x);
  }
};
struct CoshLong {
  template <class D>
  static FUNCNN_INLINE D apply(D x) {
    D q = quarter_of_exp(exponential_less_one_long(clamp(fabs(x), D(0.0), D(kHyperbolicEnd))));
    return q + q + 0.125 / q;
  }
};

// log(1 + t) for t >= 0, and log(2 a) where `large`.
template <class D, class M>
FUNCNN_INLINE D log_beside_one(D t, M large, D a) {
  D u = 1.0 + t, lost = select(t < 1.0, t - (u - 1.0), 1.0 - (u - t));
  Split<D> s = split_long(select(large, a, u));
  s.e = s.e + select(large, D(1.0), D(0.0));
  return log_of_split(s, select(large, D(0.0), lost / u));
}
constexpr double kLargeD = 1e9;  // whose square is that of any number near it
struct ArcsinhLong {
  template <class D>
  static FUNCNN_INLINE D apply(D x) {
    D a = fabs(x), t = a + a * a / (1.0 + sqrt(fma(a, a, D(1.0))));
    D r = log_beside_one(t, a > kLargeD, a);
    r = select((a < 1e-9) | !(a < kInfD), a, r);
    return with_sign_long(r, x);
  }
};
struct ArccoshLong {
  template <class D>
  static FUNCNN_INLINE D apply(D x) {
    D t = x - 1.0;
    D r = log_beside_one(t + sqrt(t * (t + 2.0)), x > kLargeD, x);
    return select(x >= 1.0, select(x == kInfD, x, r), D(kNanD));
  }
};
struct ArctanhLong {
  template <class D>
  static FUNCNN_INLINE D apply(D x) {
    D a = fabs(x), t = (a + a) / (1.0 - a);
    D r = 0.5 * log_beside_one(t, a > kLargeD, a);
    r = select(a == 1.0, D(kInfD), select(a < 1e-9, a, r));
    return with_sign_long(select(a <= 1.0, r, D(kNanD)), x);
  }
};

}  // namespace
}  // namespace funcnn::cpu::simd
