// The vocabulary of scalar operations: what an elementwise primitive computes and a kernel program executes.
#pragma once

#include <array>
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
  erfc,
  erfinv,
  gelu,             // x times the cumulative distribution function of the normal distribution
  gelu_derivative,  // of gelu
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
  polygamma,    // the derivative of order a of digamma, at b
  exp_product,  // exp(a * b) without the rounding of the product; made by derivative rules
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

// What the operands are made into first.
enum class OperandRule : uint8_t {
  any,
  inexact,  // integers and bools become float32
  bits,     // integers and bools; others are refused
};
enum class ResultRule : uint8_t {
  same,     // the dtype of the operands
  boolean,  // whatever comes in
  real,     // float32 of complex64
  complex,
};
enum class DerivativeKind : uint8_t { smooth, zero };
// How much work an element is, in classes that a back end prices.
enum class OpcodeCost : uint8_t { basic, division, exponential, transcendental, remainder, gamma };
constexpr size_t kOpcodeCosts = size_t(OpcodeCost::gamma) + 1;

// All there is to know about an opcode but its derivative (ops/elementwise.cpp) and its code (back ends).
struct OpcodeInfo {
  static constexpr Opcode kRefused = Opcode(255);

  Opcode op;
  std::string_view name;  // of the public function
  int arity;
  OperandRule operands = OperandRule::any;
  ResultRule result = ResultRule::same;
  bool complex = true;  // defined for complex64
  DerivativeKind derivative = DerivativeKind::smooth;
  OpcodeCost cost = OpcodeCost::basic;
  bool compares = false;  // asks for equality or order of its operands
  Opcode on_bool;         // what stands for it where the operands are bools, as in NumPy, or kRefused

  constexpr bool gives_bool() const { return result == ResultRule::boolean; }
};

extern const std::array<OpcodeInfo, size_t(kOpcodeCount)> opcode_table;
inline const OpcodeInfo& opcode_info(Opcode op) { return opcode_table[size_t(op)]; }

enum class ReduceOp : uint8_t { sum, prod, max, min, all, any };
std::string_view reduce_name(ReduceOp op);

}  // namespace funcnn
