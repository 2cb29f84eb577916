// Arithmetic on integers, which wrap, and floating-point numbers.
#pragma once

#include "backends/cpu/simd/number.h"

namespace funcnn::cpu::simd {
namespace {

struct Add {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    return T(a + b);
  }
};
struct Subtract {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    return T(a - b);
  }
};
struct Multiply {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    if constexpr (Floating<T>) {
      return a * b;
    } else {
      using P = typename Kin<T>::Product;
      return T(P(a) * P(b));
    }
  }
};
struct Divide {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    return a / b;
  }
};
struct Square {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    return Multiply::apply(a, a);
  }
};
struct Negative {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    if constexpr (Floating<T>)
      return -a;
    else
      return T(T(0) - a);
  }
};
struct Reciprocal {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    return T(1) / a;
  }
};
struct Sqrt {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    return sqrt(a);
  }
};
struct Rsqrt {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    return T(1) / sqrt(a);
  }
};
struct Abs {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    if constexpr (Floating<T>) {
      return fabs(a);
    } else {
      using U = typename Kin<T>::Unsigned;
      return select(a < T(0), T(U(0) - U(a)), a);
    }
  }
};
struct Sign {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    if constexpr (Floating<T>) {
      T s = select(a > T(0), T(1), T(0));
      s = select(a < T(0), T(-1), s);
      return select(a != a, a, s);
    } else {
      return T(T(a > T(0)) - T(a < T(0)));
    }
  }
};
struct Floor {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    return floor(a);
  }
};
struct Ceil {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    return ceil(a);
  }
};
struct Trunc {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    return trunc(a);
  }
};
struct Round {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    return nearbyint(a);
  }
};
struct Identity {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    return a;
  }
};
// Of equal numbers, which may be zeros of both signs, the first, on all devices.
struct Maximum {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    T m = select(b > a, b, a);  // a if either is NaN
    if constexpr (Floating<T>) m = select(b != b, b, m);
    return m;
  }
};
struct Minimum {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    T m = select(b < a, b, a);
    if constexpr (Floating<T>) m = select(b != b, b, m);
    return m;
  }
};

}  // namespace
}  // namespace funcnn::cpu::simd
