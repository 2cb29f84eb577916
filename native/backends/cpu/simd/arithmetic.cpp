// Arithmetic on integers and floating-point numbers.
#include <cmath>
#include <limits>
#include <type_traits>

#include "backends/cpu/simd/loops.h"

namespace funcnn::cpu::simd {
namespace {

// Integer arithmetic wraps, so it is done on unsigned types (of at least int's width, where multiplication would
// otherwise happen in int).
template <class T>
struct Wide {
  using type = T;
};
template <>
struct Wide<uint8_t> {
  using type = uint32_t;
};
template <>
struct Wide<uint16_t> {
  using type = uint32_t;
};

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
    using W = typename Wide<T>::type;
    return T(W(a) * W(b));
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
    if constexpr (std::is_floating_point_v<T>)
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
    return std::sqrt(a);
  }
};
struct Rsqrt {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    return T(1) / std::sqrt(a);
  }
};
struct Abs {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    if constexpr (std::is_floating_point_v<T>) {
      return std::fabs(a);
    } else {
      using U = std::make_unsigned_t<T>;
      return a < 0 ? T(U(0) - U(a)) : a;
    }
  }
};
struct Sign {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    if constexpr (std::is_floating_point_v<T>) {
      T s = a > T(0) ? T(1) : T(0);
      s = a < T(0) ? T(-1) : s;
      return a != a ? a : s;
    } else {
      return T(T(a > 0) - T(a < 0));
    }
  }
};
struct Floor {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    return std::floor(a);
  }
};
struct Ceil {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    return std::ceil(a);
  }
};
struct Trunc {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    return std::trunc(a);
  }
};
struct Round {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    return std::nearbyint(a);
  }
};
struct Identity {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    return a;
  }
};
struct Maximum {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    T m = a > b ? a : b;  // b if either is NaN
    if constexpr (std::is_floating_point_v<T>) m = a != a ? a : m;
    return m;
  }
};
struct Minimum {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    T m = a < b ? a : b;
    if constexpr (std::is_floating_point_v<T>) m = a != a ? a : m;
    return m;
  }
};

// Division rounds towards minus infinity; by zero it gives 0.
struct FloorDivide {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    if (b == 0) return 0;
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return Negative::apply(std::make_unsigned_t<T>(a));
      T q = T(a / b);
      return T(q - T((a % b != 0) && ((a < 0) != (b < 0))));
    } else {
      return T(a / b);
    }
  }
};
struct Remainder {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    if (b == 0) return 0;
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return 0;
      T r = T(a % b);
      return r != 0 && ((r < 0) != (b < 0)) ? T(r + b) : r;
    } else {
      return T(a % b);
    }
  }
};
struct Power {
  template <class T>
  static FUNCNN_INLINE T apply(T base, T exponent) {
    using U = std::make_unsigned_t<T>;
    if constexpr (std::is_signed_v<T>)
      if (exponent < 0) return 0;
    U r = 1, b = U(base);
    for (U e = U(exponent); e != 0; e = U(e >> 1)) {
      if (e & 1) r = Multiply::apply(r, b);
      b = Multiply::apply(b, b);
    }
    return T(r);
  }
};

}  // namespace

namespace FUNCNN_ISA {

void add_arithmetic(Table& t) {
  using Wrapping = Types<uint8_t, uint16_t, uint32_t, uint64_t, float, double>;
  add_binary<Add>(t, Opcode::add, Wrapping{});
  add_binary<Subtract>(t, Opcode::subtract, Wrapping{});
  add_binary<Multiply>(t, Opcode::multiply, Wrapping{});
  add_unary<Square>(t, Opcode::square, Wrapping{});
  add_unary<Negative>(t, Opcode::negative, Wrapping{});
  for (Opcode op : {Opcode::add, Opcode::subtract, Opcode::multiply, Opcode::square, Opcode::negative})
    share_unsigned(t, op);
  add_binary<Divide>(t, Opcode::divide, Floats{});
  add_unary<Reciprocal>(t, Opcode::reciprocal, Floats{});
  add_unary<Sqrt>(t, Opcode::sqrt, Floats{});
  add_unary<Rsqrt>(t, Opcode::rsqrt, Floats{});
  add_unary<Abs>(t, Opcode::abs, SignedInts{});
  add_unary<Abs>(t, Opcode::abs, Floats{});
  add_unary<Identity>(t, Opcode::abs, UnsignedInts{});
  add_unary<Sign>(t, Opcode::sign, Reals{});
  add_unary<Floor>(t, Opcode::floor, Floats{});
  add_unary<Ceil>(t, Opcode::ceil, Floats{});
  add_unary<Trunc>(t, Opcode::trunc, Floats{});
  add_unary<Round>(t, Opcode::round, Floats{});
  add_unary<Identity>(t, Opcode::floor, UnsignedInts{});
  for (Opcode op : {Opcode::floor, Opcode::ceil, Opcode::trunc, Opcode::round, Opcode::conjugate, Opcode::real}) {
    for (Dtype d : {Dtype::uint8, Dtype::uint16, Dtype::uint32, Dtype::uint64})
      share_entries(t, op, d, d), t.compute[int(op)][int(d)][0] = t.compute[int(Opcode::floor)][int(d)][0];
    share_unsigned(t, op);
  }
  add_binary<Maximum>(t, Opcode::maximum, Reals{});
  add_binary<Minimum>(t, Opcode::minimum, Reals{});
  add_binary<FloorDivide>(t, Opcode::floor_divide, Ints{});
  add_binary<Remainder>(t, Opcode::remainder, Ints{});
  add_binary<Power>(t, Opcode::power, Ints{});
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
