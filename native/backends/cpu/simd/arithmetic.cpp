#include "backends/cpu/simd/arithmetic.h"

#include <type_traits>

#include "backends/cpu/simd/loops.h"

namespace funcnn::cpu::simd {
namespace {

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
