#include "backends/cpu/simd/bitwise.h"

#include "backends/cpu/simd/arithmetic.h"
#include "backends/cpu/simd/loops.h"

namespace funcnn::cpu::simd {
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
    add_unary_as<Identity, uint8_t, uint8_t>(t, op, b);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
