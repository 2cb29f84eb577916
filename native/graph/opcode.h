// The vocabulary of scalar operations: what an elementwise primitive computes and a kernel program executes.
#pragma once

#include <cstdint>
#include <string_view>

namespace funcnn {

enum class Opcode : uint8_t {
  // one operand
  copy,  // also conversion between dtypes
  negative,
  abs,
  sign,
  floor,
  ceil,
  round,
  trunc,
  sqrt,
  rsqrt,
  square,
  reciprocal,
  exp,
  expm1,
  exp2,
  log,
  log1p,
  log2,
  log10,
  sin,
  cos,
  tan,
  arcsin,
  arccos,
  arctan,
  sinh,
  cosh,
  tanh,
  arcsinh,
  arccosh,
  arctanh,
  sigmoid,
  erf,
  erfinv,
  lgamma,
  digamma,
  isnan,
  isinf,
  isfinite,
  logical_not,
  bitwise_invert,
  real,
  imag,
  conjugate,
  // a float32 rounded to what the narrow type holds; made by the planner for conversions
  round_float16,
  round_bfloat16,
  // two operands
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  remainder,
  power,
  maximum,
  minimum,
  arctan2,
  logaddexp,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  logical_and,
  logical_or,
  bitwise_and,
  bitwise_or,
  bitwise_xor,
  left_shift,
  right_shift,
  make_complex,  // real and imaginary part
  // three operands
  select,  // condition, value if true, value if false
  fma,     // a * b + c; made by the planner
};
inline constexpr int kOpcodeCount = int(Opcode::fma) + 1;

// The name of the public function.
std::string_view opcode_name(Opcode op);
int opcode_arity(Opcode op);
// Comparisons and predicates: bool out, whatever comes in.
bool opcode_gives_bool(Opcode op);

enum class ReduceOp : uint8_t { sum, prod, max, min, all, any };
std::string_view reduce_name(ReduceOp op);

}  // namespace funcnn
