#include "backends/cpu/simd/compare.h"

#include "backends/cpu/simd/loops.h"

namespace funcnn::cpu::simd {
namespace {

template <class Op, class... Ts>
void add_test(Table& t, Opcode op, Types<Ts...>) {
  (add_binary_as<Op, uint8_t, Ts>(t, op, DtypeOf<Ts>::value), ...);
}
template <class Op, class... Ts>
void add_predicate(Table& t, Opcode op, Types<Ts...>) {
  (add_unary_as<Op, uint8_t, Ts>(t, op, DtypeOf<Ts>::value), ...);
}

}  // namespace

namespace FUNCNN_ISA {

void add_compare(Table& t) {
  using Unsigned = Types<uint8_t, uint16_t, uint32_t, uint64_t, float, double>;
  add_test<Equal>(t, Opcode::equal, Unsigned{});
  add_test<NotEqual>(t, Opcode::not_equal, Unsigned{});
  add_test<LogicalAnd>(t, Opcode::logical_and, Unsigned{});
  add_test<LogicalOr>(t, Opcode::logical_or, Unsigned{});
  add_predicate<LogicalNot>(t, Opcode::logical_not, Unsigned{});
  for (Opcode op : {Opcode::equal, Opcode::not_equal, Opcode::logical_and, Opcode::logical_or, Opcode::logical_not})
    share_unsigned(t, op);
  add_test<Less>(t, Opcode::less, Reals{});
  add_test<LessEqual>(t, Opcode::less_equal, Reals{});
  add_test<Greater>(t, Opcode::greater, Reals{});
  add_test<GreaterEqual>(t, Opcode::greater_equal, Reals{});
  for (Opcode op : {Opcode::equal, Opcode::less, Opcode::less_equal, Opcode::greater, Opcode::greater_equal})
    share_entries(t, op, Dtype::bool_, Dtype::uint8);

  add_predicate<IsNan>(t, Opcode::isnan, Floats{});
  add_predicate<IsInf>(t, Opcode::isinf, Floats{});
  add_predicate<IsFinite>(t, Opcode::isfinite, Floats{});
  add_predicate<No>(t, Opcode::isnan, UnsignedInts{});
  add_predicate<No>(t, Opcode::isinf, UnsignedInts{});
  add_predicate<Yes>(t, Opcode::isfinite, UnsignedInts{});
  for (Opcode op : {Opcode::isnan, Opcode::isinf, Opcode::isfinite}) {
    share_unsigned(t, op);
    share_entries(t, op, Dtype::bool_, Dtype::uint8);
  }

  constexpr int select = int(Opcode::select);
  add_ternary_as<Select, uint8_t, uint8_t, uint8_t, uint8_t>(t, select, int(Dtype::uint8));
  add_ternary_as<Select, uint16_t, uint8_t, uint16_t, uint16_t>(t, select, int(Dtype::uint16));
  add_ternary_as<Select, uint32_t, uint8_t, uint32_t, uint32_t>(t, select, int(Dtype::uint32));
  add_ternary_as<Select, uint64_t, uint8_t, uint64_t, uint64_t>(t, select, int(Dtype::uint64));
  share_unsigned(t, Opcode::select);
  share_entries(t, Opcode::select, Dtype::bool_, Dtype::uint8);
  share_entries(t, Opcode::select, Dtype::float32, Dtype::uint32);
  share_entries(t, Opcode::select, Dtype::float64, Dtype::uint64);
  share_entries(t, Opcode::select, Dtype::complex64, Dtype::uint64);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
