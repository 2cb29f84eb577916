#include "backends/gpu/scalar.h"

#include "backends/gpu/source.h"
#include "base/error.h"

namespace funcnn::gpu {
namespace {

std::string call(std::string_view name, std::string_view a) { return cat(name, "(", a, ")"); }
std::string call(std::string_view name, std::string_view a, std::string_view b) {
  return cat(name, "(", a, ", ", b, ")");
}

// What CUDA's library calls a function of float64; others have a name of ours.
std::string_view library_name(Opcode op) {
  switch (op) {
    case Opcode::arcsin:
      return "asin";
    case Opcode::arccos:
      return "acos";
    case Opcode::arctan:
      return "atan";
    case Opcode::arcsinh:
      return "asinh";
    case Opcode::arccosh:
      return "acosh";
    case Opcode::arctanh:
      return "atanh";
    case Opcode::arctan2:
      return "atan2";
    case Opcode::power:
      return "pow";
    case Opcode::sigmoid:
    case Opcode::gelu:
    case Opcode::gelu_derivative:
    case Opcode::digamma:
    case Opcode::polygamma:
    case Opcode::logaddexp:
    case Opcode::exp_product:
    case Opcode::floor_divide:
    case Opcode::remainder:
      return {};
    default:
      return opcode_info(op).name;
  }
}

std::string function_name(Opcode op, Dtype dtype) {
  if (dtype == Dtype::float64)
    if (std::string_view name = library_name(op); !name.empty()) return std::string(name);
  std::string_view name = opcode_info(op).name;
  return cat(name, "_", type_name(dtype));
}

std::string converted(Dtype from, Dtype to, std::string_view a) {
  if (from == to) return std::string(a);
  if (from == Dtype::complex64)
    return to == Dtype::bool_ ? cat("(", a, " != c64{0.0f, 0.0f})") : converted(Dtype::float32, to, cat(a, ".re"));
  if (to == Dtype::complex64) return cat("c64{f32(", a, "), 0.0f}");
  if (to == Dtype::bool_) return cat("(", a, " != 0)");
  if (is_float(from) && is_integer(to)) return call(cat("to_integer<", type_name(to), ">"), a);
  return call(type_name(to), a);
}

std::string of_integer(Opcode op, Dtype dtype, std::string_view a, std::string_view b, std::string_view c) {
  const std::string type(type_name(dtype));
  auto generic = [&](std::string_view name) { return cat(name, "<", type, ">"); };
  switch (op) {
    case Opcode::negative:
      return call(generic("minus"), cat(type, "(0)"), a);
    case Opcode::abs:
      return is_unsigned(dtype) ? std::string(a) : call(generic("abs_int"), a);
    case Opcode::sign:
      return call(generic("sign_int"), a);
    case Opcode::square:
      return call(generic("times"), a, a);
    case Opcode::isnan:
    case Opcode::isinf:
      return "false";
    case Opcode::isfinite:
      return "true";
    case Opcode::bitwise_invert:
      return call(type, cat("~", a));
    case Opcode::add:
      return call(generic("plus"), a, b);
    case Opcode::subtract:
      return call(generic("minus"), a, b);
    case Opcode::multiply:
      return call(generic("times"), a, b);
    case Opcode::fma:
      return call(generic("plus"), call(generic("times"), a, b), c);
    case Opcode::floor_divide:
      return call(generic("floor_divide_int"), a, b);
    case Opcode::remainder:
      return call(generic("remainder_int"), a, b);
    case Opcode::power:
      return call(generic("power_int"), a, b);
    case Opcode::bitwise_and:
      return call(type, cat(a, " & ", b));
    case Opcode::bitwise_or:
      return call(type, cat(a, " | ", b));
    case Opcode::bitwise_xor:
      return call(type, cat(a, " ^ ", b));
    case Opcode::left_shift:
      return call(generic("shifted_left"), a, b);
    case Opcode::right_shift:
      return call(generic("shifted_right"), a, b);
    case Opcode::floor:
    case Opcode::ceil:
    case Opcode::round:
    case Opcode::trunc:
      return std::string(a);
    default:
      throw Error(cat("gpu: no expression for ", opcode_info(op).name, " of integers"));
  }
}

std::string of_bool(Opcode op, std::string_view a, std::string_view b, std::string_view c) {
  switch (op) {
    case Opcode::bitwise_invert:
      return cat("(!", a, ")");
    case Opcode::isnan:
    case Opcode::isinf:
      return "false";
    case Opcode::isfinite:
      return "true";
    case Opcode::add:
    case Opcode::bitwise_or:
      return cat("(", a, " || ", b, ")");
    case Opcode::multiply:
    case Opcode::bitwise_and:
      return cat("(", a, " && ", b, ")");
    case Opcode::subtract:
    case Opcode::bitwise_xor:
      return cat("(", a, " != ", b, ")");
    case Opcode::power:
      return cat("(", a, " || !", b, ")");
    case Opcode::fma:
      return cat("((", a, " && ", b, ") || ", c, ")");
    case Opcode::abs:
    case Opcode::sign:
    case Opcode::square:
    case Opcode::floor:
    case Opcode::ceil:
    case Opcode::round:
    case Opcode::trunc:
      return std::string(a);
    default:
      throw Error(cat("gpu: no expression for ", opcode_info(op).name, " of bools"));
  }
}

std::string of_complex(Opcode op, std::string_view a, std::string_view b, std::string_view c) {
  switch (op) {
    case Opcode::negative:
      return cat("(-", a, ")");
    case Opcode::square:
      return cat("(", a, " * ", a, ")");
    case Opcode::add:
      return cat("(", a, " + ", b, ")");
    case Opcode::subtract:
      return cat("(", a, " - ", b, ")");
    case Opcode::multiply:
      return cat("(", a, " * ", b, ")");
    case Opcode::divide:
      return cat("(", a, " / ", b, ")");
    case Opcode::fma:
      return cat("(", a, " * ", b, " + ", c, ")");
    case Opcode::reciprocal:
      return cat("(c64{1.0f, 0.0f} / ", a, ")");
    case Opcode::rsqrt:
      return cat("(c64{1.0f, 0.0f} / sqrt_c64(", a, "))");
    case Opcode::log2:
      return cat("scaled(log_c64(", a, "), 1.44269504088896341f)");
    case Opcode::log10:
      return cat("scaled(log_c64(", a, "), 0.434294481903251828f)");
    case Opcode::round:
      return cat("c64{rint(", a, ".re), rint(", a, ".im)}");
    case Opcode::real:
      return cat(a, ".re");
    case Opcode::imag:
      return cat(a, ".im");
    case Opcode::conjugate:
      return call("conj", a);
    case Opcode::isnan:
      return call("is_nan", a);
    case Opcode::isinf:
      return call("infinite", a);
    case Opcode::isfinite:
      return cat("(fabs(", a, ".re) < INFINITY && fabs(", a, ".im) < INFINITY)");
    default:
      return opcode_info(op).arity == 1 ? call(function_name(op, Dtype::complex64), a)
                                        : call(function_name(op, Dtype::complex64), a, b);
  }
}

std::string of_float(Opcode op, Dtype dtype, std::string_view a, std::string_view b, std::string_view c) {
  const std::string_view one = dtype == Dtype::float64 ? "1.0" : "1.0f";
  switch (op) {
    case Opcode::negative:
      return dtype == Dtype::float64 ? call("negative_f64", a) : cat("(-", a, ")");
    case Opcode::abs:
      return call("fabs", a);
    case Opcode::floor:
    case Opcode::ceil:
    case Opcode::trunc:
    case Opcode::sqrt:
      return call(opcode_info(op).name, a);
    case Opcode::round:
      return call("rint", a);
    case Opcode::sign:
      return call(cat("sign_", type_name(dtype)), a);
    case Opcode::rsqrt:
      return cat("(", one, " / sqrt(", a, "))");
    case Opcode::reciprocal:
      return cat("(", one, " / ", a, ")");
    case Opcode::square:
      return cat("(", a, " * ", a, ")");
    case Opcode::isnan:
      return cat("(", a, " != ", a, ")");
    case Opcode::isinf:
      return cat("(fabs(", a, ") == INFINITY)");
    case Opcode::isfinite:
      return cat("(fabs(", a, ") < INFINITY)");
    case Opcode::round_float16:
      return call("rounded_f16", a);
    case Opcode::round_bfloat16:
      return call("rounded_bf16", a);
    case Opcode::add:
      return cat("(", a, " + ", b, ")");
    case Opcode::subtract:
      return cat("(", a, " - ", b, ")");
    case Opcode::multiply:
      return cat("(", a, " * ", b, ")");
    case Opcode::divide:
      return cat("(", a, " / ", b, ")");
    case Opcode::fma:
      return cat("fma(", a, ", ", b, ", ", c, ")");
    default:
      return opcode_info(op).arity == 1 ? call(function_name(op, dtype), a) : call(function_name(op, dtype), a, b);
  }
}

}  // namespace

std::string scalar_expression(Opcode op, Dtype operands, Dtype result, std::string_view a, std::string_view b,
                              std::string_view c) {
  const bool complex = operands == Dtype::complex64;
  auto compared = [&](std::string_view sign) { return cat("(", a, " ", sign, " ", b, ")"); };
  auto truth = [&](std::string_view x) { return converted(operands, Dtype::bool_, x); };
  switch (op) {
    case Opcode::copy:
      return converted(operands, result, a);
    case Opcode::select:
      return cat("(", a, " ? ", b, " : ", c, ")");
    case Opcode::make_complex:
      return cat("c64{", a, ", ", b, "}");
    case Opcode::equal:
      return compared("==");
    case Opcode::not_equal:
      return compared("!=");
    case Opcode::less:
      return compared("<");
    case Opcode::less_equal:
      return compared("<=");
    case Opcode::greater:
      return compared(">");
    case Opcode::greater_equal:
      return compared(">=");
    case Opcode::logical_not:
      return cat("(!", truth(a), ")");
    case Opcode::logical_and:
      return cat("(", truth(a), " && ", truth(b), ")");
    case Opcode::logical_or:
      return cat("(", truth(a), " || ", truth(b), ")");
    case Opcode::maximum:
    case Opcode::minimum: {
      std::string_view name = op == Opcode::maximum ? "larger" : "smaller";
      return complex ? call(name, a, b) : call(cat(name, "<", type_name(operands), ">"), a, b);
    }
    case Opcode::real:
    case Opcode::conjugate:
      if (!complex) return std::string(a);
      break;
    default:
      break;
  }
  if (complex) return of_complex(op, a, b, c);
  if (operands == Dtype::bool_) return of_bool(op, a, b, c);
  return is_integer(operands) ? of_integer(op, operands, a, b, c) : of_float(op, operands, a, b, c);
}

std::string half_expression(Opcode op, std::string_view a) {
  switch (op) {
    case Opcode::exp:
    case Opcode::exp2:
    case Opcode::tanh:
    case Opcode::sigmoid:
    case Opcode::gelu:
    case Opcode::gelu_derivative:
      return call(cat(opcode_info(op).name, "_half"), a);
    default:
      return {};
  }
}

std::vector<Section> scalar_sections(Opcode, Dtype operands, Dtype result) {
  if (operands == Dtype::complex64 || result == Dtype::complex64) return {Section::math, Section::complex};
  return {Section::math};
}

}  // namespace funcnn::gpu
