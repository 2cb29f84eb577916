#include "graph/opcode.h"

#include <array>

namespace funcnn {
namespace {

constexpr std::array<std::string_view, kOpcodeCount> kNames = {"copy",
                                                               "negative",
                                                               "abs",
                                                               "sign",
                                                               "floor",
                                                               "ceil",
                                                               "round",
                                                               "trunc",
                                                               "sqrt",
                                                               "rsqrt",
                                                               "square",
                                                               "reciprocal",
                                                               "exp",
                                                               "expm1",
                                                               "exp2",
                                                               "log",
                                                               "log1p",
                                                               "log2",
                                                               "log10",
                                                               "sin",
                                                               "cos",
                                                               "tan",
                                                               "arcsin",
                                                               "arccos",
                                                               "arctan",
                                                               "sinh",
                                                               "cosh",
                                                               "tanh",
                                                               "arcsinh",
                                                               "arccosh",
                                                               "arctanh",
                                                               "sigmoid",
                                                               "erf",
                                                               "erfinv",
                                                               "lgamma",
                                                               "digamma",
                                                               "isnan",
                                                               "isinf",
                                                               "isfinite",
                                                               "logical_not",
                                                               "bitwise_invert",
                                                               "real",
                                                               "imag",
                                                               "conjugate",
                                                               "round_float16",
                                                               "round_bfloat16",
                                                               "add",
                                                               "subtract",
                                                               "multiply",
                                                               "divide",
                                                               "floor_divide",
                                                               "remainder",
                                                               "power",
                                                               "maximum",
                                                               "minimum",
                                                               "arctan2",
                                                               "logaddexp",
                                                               "equal",
                                                               "not_equal",
                                                               "less",
                                                               "less_equal",
                                                               "greater",
                                                               "greater_equal",
                                                               "logical_and",
                                                               "logical_or",
                                                               "bitwise_and",
                                                               "bitwise_or",
                                                               "bitwise_xor",
                                                               "left_shift",
                                                               "right_shift",
                                                               "make_complex",
                                                               "where",
                                                               "fma"};

}  // namespace

std::string_view opcode_name(Opcode op) { return kNames[size_t(op)]; }

int opcode_arity(Opcode op) { return op < Opcode::add ? 1 : op < Opcode::select ? 2 : 3; }

bool opcode_gives_bool(Opcode op) {
  return (op >= Opcode::isnan && op <= Opcode::logical_not) || (op >= Opcode::equal && op <= Opcode::logical_or);
}

std::string_view reduce_name(ReduceOp op) {
  constexpr std::string_view names[] = {"sum", "prod", "max", "min", "all", "any"};
  return names[int(op)];
}

}  // namespace funcnn
