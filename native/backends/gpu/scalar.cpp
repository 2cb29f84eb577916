#include "backends/gpu/scalar.h"

#include "backends/gpu/source.h"
#include "base/error.h"

namespace funcnn::gpu {

std::string scalar_expression(Opcode op, Dtype operands, Dtype result, std::string_view a, std::string_view b,
                              std::string_view c) {
  auto infix = [&](std::string_view sign) {
    return is_integer(operands) && !opcode_info(op).gives_bool()
               ? cat(register_type(operands), "(", a, " ", sign, " ", b, ")")
               : cat("(", a, " ", sign, " ", b, ")");
  };
  switch (op) {
    case Opcode::copy:
      if (operands == result) return std::string(a);
      return result == Dtype::bool_ ? cat("(", a, " != 0)") : cat(register_type(result), "(", a, ")");
    case Opcode::negative:
      return cat(register_type(operands), "(-", a, ")");
    case Opcode::square:
      return cat(register_type(operands), "(", a, " * ", a, ")");
    case Opcode::add:
      return infix("+");
    case Opcode::subtract:
      return infix("-");
    case Opcode::multiply:
      return infix("*");
    case Opcode::divide:
      return infix("/");
    case Opcode::maximum:
      return cat("(", a, " != ", a, " || ", a, " > ", b, " ? ", a, " : ", b, ")");
    case Opcode::minimum:
      return cat("(", a, " != ", a, " || ", a, " < ", b, " ? ", a, " : ", b, ")");
    case Opcode::equal:
      return infix("==");
    case Opcode::not_equal:
      return infix("!=");
    case Opcode::less:
      return infix("<");
    case Opcode::less_equal:
      return infix("<=");
    case Opcode::greater:
      return infix(">");
    case Opcode::greater_equal:
      return infix(">=");
    case Opcode::logical_not:
      return cat("(", a, " == 0)");
    case Opcode::logical_and:
      return cat("(", a, " != 0 && ", b, " != 0)");
    case Opcode::logical_or:
      return cat("(", a, " != 0 || ", b, " != 0)");
    case Opcode::bitwise_and:
      return infix("&");
    case Opcode::bitwise_or:
      return infix("|");
    case Opcode::bitwise_xor:
      return infix("^");
    case Opcode::select:
      return cat("(", a, " ? ", b, " : ", c, ")");
    default:
      throw Error(cat("no expression for ", opcode_info(op).name, " yet"));
  }
}

std::vector<Section> scalar_sections(Opcode, Dtype operands, Dtype result) {
  if (is_complex(operands) || is_complex(result)) return {Section::complex};
  return {Section::math};
}

}  // namespace funcnn::gpu
