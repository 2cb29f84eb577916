#include "graph/opcode.h"

#include <cstddef>

namespace funcnn {
namespace {

// A row of the table, put together by what sets it apart.
struct Row {
  OpcodeInfo info;

  constexpr Row inexact(OpcodeCost cost) const {
    Row r = costs(cost);
    r.info.operands = OperandRule::inexact;
    return r;
  }
  constexpr Row bits() const {
    Row r = flat();
    r.info.operands = OperandRule::bits;
    return r;
  }
  constexpr Row costs(OpcodeCost cost) const {
    Row r = *this;
    r.info.cost = cost;
    return r;
  }
  constexpr Row gives_truth() const { return flat().gives(ResultRule::boolean); }
  constexpr Row compares() const {
    Row r = gives_truth();
    r.info.compares = true;
    return r;
  }
  constexpr Row gives_real() const { return gives(ResultRule::real); }
  constexpr Row gives_complex() const { return gives(ResultRule::complex); }
  constexpr Row not_of_complex() const {
    Row r = *this;
    r.info.complex = false;
    return r;
  }
  constexpr Row flat() const { return slope(DerivativeKind::zero); }
  constexpr Row on_bool(Opcode op) const {
    Row r = *this;
    r.info.on_bool = op;
    return r;
  }
  constexpr Row not_of_bool() const { return on_bool(OpcodeInfo::kRefused); }

 private:
  constexpr Row gives(ResultRule rule) const {
    Row r = *this;
    r.info.result = rule;
    return r;
  }
  constexpr Row slope(DerivativeKind kind) const {
    Row r = *this;
    r.info.derivative = kind;
    return r;
  }
};
constexpr Row row(Opcode op, std::string_view name, int arity) {
  return {{.op = op, .name = name, .arity = arity, .on_bool = op}};
}
constexpr Row unary(Opcode op, std::string_view name) { return row(op, name, 1); }
constexpr Row binary(Opcode op, std::string_view name) { return row(op, name, 2); }
constexpr Row ternary(Opcode op, std::string_view name) { return row(op, name, 3); }

constexpr Row kTable[] = {
    unary(Opcode::copy, "copy"),
    unary(Opcode::negative, "negative").not_of_bool(),
    unary(Opcode::abs, "abs").gives_real(),
    unary(Opcode::sign, "sign").flat(),
    unary(Opcode::floor, "floor").not_of_complex().flat(),
    unary(Opcode::ceil, "ceil").not_of_complex().flat(),
    unary(Opcode::round, "round").flat(),
    unary(Opcode::trunc, "trunc").not_of_complex().flat(),
    unary(Opcode::sqrt, "sqrt").inexact(OpcodeCost::division),
    unary(Opcode::rsqrt, "rsqrt").inexact(OpcodeCost::division),
    unary(Opcode::square, "square"),
    unary(Opcode::reciprocal, "reciprocal").inexact(OpcodeCost::division),
    unary(Opcode::exp, "exp").inexact(OpcodeCost::exponential),
    unary(Opcode::expm1, "expm1").inexact(OpcodeCost::exponential),
    unary(Opcode::exp2, "exp2").inexact(OpcodeCost::exponential).not_of_complex(),
    unary(Opcode::log, "log").inexact(OpcodeCost::exponential),
    unary(Opcode::log1p, "log1p").inexact(OpcodeCost::exponential),
    unary(Opcode::log2, "log2").inexact(OpcodeCost::exponential),
    unary(Opcode::log10, "log10").inexact(OpcodeCost::exponential),
    unary(Opcode::sin, "sin").inexact(OpcodeCost::transcendental),
    unary(Opcode::cos, "cos").inexact(OpcodeCost::transcendental),
    unary(Opcode::tan, "tan").inexact(OpcodeCost::transcendental),
    unary(Opcode::arcsin, "arcsin").inexact(OpcodeCost::transcendental),
    unary(Opcode::arccos, "arccos").inexact(OpcodeCost::transcendental),
    unary(Opcode::arctan, "arctan").inexact(OpcodeCost::transcendental),
    unary(Opcode::sinh, "sinh").inexact(OpcodeCost::transcendental),
    unary(Opcode::cosh, "cosh").inexact(OpcodeCost::transcendental),
    unary(Opcode::tanh, "tanh").inexact(OpcodeCost::exponential),
    unary(Opcode::arcsinh, "arcsinh").inexact(OpcodeCost::transcendental),
    unary(Opcode::arccosh, "arccosh").inexact(OpcodeCost::transcendental),
    unary(Opcode::arctanh, "arctanh").inexact(OpcodeCost::transcendental),
    unary(Opcode::sigmoid, "sigmoid").inexact(OpcodeCost::exponential),
    unary(Opcode::erf, "erf").inexact(OpcodeCost::exponential).not_of_complex(),
    unary(Opcode::erfc, "erfc").inexact(OpcodeCost::transcendental).not_of_complex(),
    unary(Opcode::erfinv, "erfinv").inexact(OpcodeCost::transcendental).not_of_complex(),
    unary(Opcode::gelu, "gelu").inexact(OpcodeCost::exponential).not_of_complex(),
    unary(Opcode::gelu_derivative, "gelu_derivative").inexact(OpcodeCost::exponential).not_of_complex(),
    unary(Opcode::lgamma, "lgamma").inexact(OpcodeCost::gamma).not_of_complex(),
    unary(Opcode::digamma, "digamma").inexact(OpcodeCost::gamma).not_of_complex(),
    unary(Opcode::isnan, "isnan").gives_truth(),
    unary(Opcode::isinf, "isinf").gives_truth(),
    unary(Opcode::isfinite, "isfinite").gives_truth(),
    unary(Opcode::logical_not, "logical_not").gives_truth(),
    unary(Opcode::bitwise_invert, "bitwise_invert").bits().on_bool(Opcode::logical_not),
    unary(Opcode::real, "real").gives_real(),
    unary(Opcode::imag, "imag").gives_real(),
    unary(Opcode::conjugate, "conjugate"),
    unary(Opcode::round_float16, "round_float16"),
    unary(Opcode::round_bfloat16, "round_bfloat16"),
    binary(Opcode::add, "add").on_bool(Opcode::logical_or),
    binary(Opcode::subtract, "subtract").on_bool(Opcode::bitwise_xor),
    binary(Opcode::multiply, "multiply").on_bool(Opcode::logical_and),
    binary(Opcode::divide, "divide").inexact(OpcodeCost::division),
    binary(Opcode::floor_divide, "floor_divide").costs(OpcodeCost::remainder).not_of_complex().flat().not_of_bool(),
    binary(Opcode::remainder, "remainder").costs(OpcodeCost::remainder).not_of_complex().not_of_bool(),
    binary(Opcode::power, "power").costs(OpcodeCost::transcendental).not_of_bool(),
    binary(Opcode::maximum, "maximum").not_of_complex().on_bool(Opcode::logical_or),
    binary(Opcode::minimum, "minimum").not_of_complex().on_bool(Opcode::logical_and),
    binary(Opcode::arctan2, "arctan2").inexact(OpcodeCost::transcendental).not_of_complex(),
    binary(Opcode::logaddexp, "logaddexp").inexact(OpcodeCost::transcendental).not_of_complex(),
    binary(Opcode::polygamma, "polygamma").inexact(OpcodeCost::gamma).not_of_complex(),
    binary(Opcode::exp_product, "exp_product").inexact(OpcodeCost::transcendental).not_of_complex(),
    binary(Opcode::equal, "equal").compares(),
    binary(Opcode::not_equal, "not_equal").compares(),
    binary(Opcode::less, "less").compares().not_of_complex(),
    binary(Opcode::less_equal, "less_equal").compares().not_of_complex(),
    binary(Opcode::greater, "greater").compares().not_of_complex(),
    binary(Opcode::greater_equal, "greater_equal").compares().not_of_complex(),
    binary(Opcode::logical_and, "logical_and").gives_truth(),
    binary(Opcode::logical_or, "logical_or").gives_truth(),
    binary(Opcode::bitwise_and, "bitwise_and").bits(),
    binary(Opcode::bitwise_or, "bitwise_or").bits(),
    binary(Opcode::bitwise_xor, "bitwise_xor").bits(),
    binary(Opcode::left_shift, "left_shift").bits().not_of_bool(),
    binary(Opcode::right_shift, "right_shift").bits().not_of_bool(),
    binary(Opcode::make_complex, "make_complex").gives_complex(),
    ternary(Opcode::select, "where"),
    ternary(Opcode::fma, "fma"),
};

constexpr bool complete() {
  for (size_t i = 0; i < size_t(kOpcodeCount); ++i)
    if (kTable[i].info.op != Opcode(i)) return false;
  return sizeof(kTable) / sizeof(kTable[0]) == size_t(kOpcodeCount);
}
static_assert(complete(), "one row for each opcode, in their order");

constexpr auto infos() {
  std::array<OpcodeInfo, size_t(kOpcodeCount)> out{};
  for (size_t i = 0; i < out.size(); ++i) out[i] = kTable[i].info;
  return out;
}

}  // namespace

constinit const std::array<OpcodeInfo, size_t(kOpcodeCount)> opcode_table = infos();

std::string_view reduce_name(ReduceOp op) {
  constexpr std::string_view names[] = {"sum", "prod", "max", "min", "all", "any"};
  return names[int(op)];
}

}  // namespace funcnn
