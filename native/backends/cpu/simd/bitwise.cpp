// Bits and booleans. Booleans are bytes 0 or 1, so most of their operations are those of uint8.
#include <type_traits>

#include "backends/cpu/simd/loops.h"

namespace funcnn::cpu::simd {
namespace {

struct And {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    return T(a & b);
  }
};
struct Or {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    return T(a | b);
  }
};
struct Xor {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    return T(a ^ b);
  }
};
struct Invert {
  template <class T>
  static FUNCNN_INLINE T apply(T a) {
    return T(~a);
  }
};
struct Not {
  static FUNCNN_INLINE uint8_t apply(uint8_t a) { return uint8_t(a ^ 1u); }
};
struct Same {
  static FUNCNN_INLINE uint8_t apply(uint8_t a) { return a; }
};
struct OrNot {
  static FUNCNN_INLINE uint8_t apply(uint8_t a, uint8_t b) { return uint8_t(a | (b ^ 1u)); }
};
// Shifts by the width or more move every bit out; a negative count counts as large.
struct LeftShift {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    constexpr T width = T(sizeof(T) * 8);
    T shifted = T(a << (b & T(width - 1)));
    return b < width ? shifted : T(0);
  }
};
struct RightShift {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    using U = std::make_unsigned_t<T>;
    constexpr U last = U(sizeof(T) * 8 - 1);
    if constexpr (std::is_signed_v<T>) {
      U count = U(b) > last ? last : U(b);
      return T(a >> count);
    } else {
      T shifted = T(a >> (b & last));
      return b > last ? T(0) : shifted;
    }
  }
};

}  // namespace

namespace FUNCNN_ISA {

void add_bitwise(Table& t) {
  add_binary<And>(t, Opcode::bitwise_and, UnsignedInts{});
  add_binary<Or>(t, Opcode::bitwise_or, UnsignedInts{});
  add_binary<Xor>(t, Opcode::bitwise_xor, UnsignedInts{});
  add_unary<Invert>(t, Opcode::bitwise_invert, UnsignedInts{});
  add_binary<LeftShift>(t, Opcode::left_shift, UnsignedInts{});
  for (Opcode op :
       {Opcode::bitwise_and, Opcode::bitwise_or, Opcode::bitwise_xor, Opcode::bitwise_invert, Opcode::left_shift})
    share_unsigned(t, op);
  add_binary<RightShift>(t, Opcode::right_shift, Ints{});

  constexpr int b = int(Dtype::bool_);
  for (Opcode op : {Opcode::bitwise_and, Opcode::logical_and, Opcode::minimum, Opcode::multiply})
    add_binary_as<And, uint8_t, uint8_t>(t, op, b);
  for (Opcode op : {Opcode::bitwise_or, Opcode::logical_or, Opcode::maximum, Opcode::add})
    add_binary_as<Or, uint8_t, uint8_t>(t, op, b);
  for (Opcode op : {Opcode::bitwise_xor, Opcode::not_equal, Opcode::subtract})
    add_binary_as<Xor, uint8_t, uint8_t>(t, op, b);
  add_binary_as<OrNot, uint8_t, uint8_t>(t, Opcode::power, b);
  for (Opcode op : {Opcode::bitwise_invert, Opcode::logical_not}) add_unary_as<Not, uint8_t, uint8_t>(t, op, b);
  for (Opcode op : {Opcode::abs, Opcode::sign, Opcode::square, Opcode::floor, Opcode::ceil, Opcode::trunc,
                    Opcode::round, Opcode::conjugate, Opcode::real})
    add_unary_as<Same, uint8_t, uint8_t>(t, op, b);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
