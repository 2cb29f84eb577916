// Elementwise functions: one row of a table each.
#include <nanobind/stl/optional.h>

#include <cmath>
#include <limits>

#include "bindings/array.h"
#include "bindings/device.h"
#include "bindings/docs.h"
#include "bindings/interchange.h"
#include "ops/elementwise.h"
#include "ops/numeric.h"

namespace funcnn {
namespace {

struct UnaryRow {
  const char* name;
  Opcode op;
  const char* summary;
  const char* details;
  const char* argument;  // of the example
  const char* result;
  bool method;  // also a method of the class
};

constexpr const char* kFloats = "Integers and bools become float32.";

const UnaryRow unary_rows[] = {
    {"abs", Opcode::abs, "Take the absolute value; of complex numbers, the modulus.", "", "[-1.5, 2.0]", "[1.5, 2. ]",
     true},
    {"negative", Opcode::negative, "Negate each element.", "Unsigned integers wrap; bool is refused with ValueError.",
     "[1, -2]", "[-1,  2]", false},
    {"sign", Opcode::sign, "Give -1, 0 or 1 with the sign of each element.", "Of complex numbers x / |x|.",
     "[-3.0, 0.0, 2.0]", "[-1.,  0.,  1.]", false},
    {"floor", Opcode::floor, "Round down to a whole number.", "Integers stay as they are; complex numbers are refused.",
     "[1.7, -1.2]", "[ 1., -2.]", false},
    {"ceil", Opcode::ceil, "Round up to a whole number.", "Integers stay as they are; complex numbers are refused.",
     "[1.2, -1.7]", "[ 2., -1.]", false},
    {"trunc", Opcode::trunc, "Round towards zero.", "Integers stay as they are; complex numbers are refused.",
     "[1.7, -1.7]", "[ 1., -1.]", false},
    {"sqrt", Opcode::sqrt, "Take the square root.", kFloats, "[4.0, 9.0]", "[2., 3.]", true},
    {"rsqrt", Opcode::rsqrt, "Take the reciprocal of the square root.", kFloats, "[4.0, 16.0]", "[0.5 , 0.25]", true},
    {"square", Opcode::square, "Square each element.", "", "[2, -3]", "[4, 9]", true},
    {"reciprocal", Opcode::reciprocal, "Divide one by each element.", kFloats, "[2.0, 4.0]", "[0.5 , 0.25]", true},
    {"exp", Opcode::exp, "Raise e to each element.", kFloats, "[0.0, 1.0]", "[1.       , 2.7182817]", true},
    {"expm1", Opcode::expm1, "Compute exp(x) - 1 without losing digits near zero.", kFloats, "[0.0, 1e-8]",
     "[0.e+00, 1.e-08]", false},
    {"exp2", Opcode::exp2, "Raise two to each element.", kFloats, "[0.0, 3.0]", "[1., 8.]", false},
    {"log", Opcode::log, "Take the natural logarithm.", kFloats, "[1.0, 2.0]", "[0.       , 0.6931472]", true},
    {"log1p", Opcode::log1p, "Compute log(1 + x) without losing digits near zero.", kFloats, "[0.0, 1e-8]",
     "[0.e+00, 1.e-08]", true},
    {"log2", Opcode::log2, "Take the logarithm to base two.", kFloats, "[1.0, 8.0]", "[0., 3.]", true},
    {"log10", Opcode::log10, "Take the logarithm to base ten.", kFloats, "[1.0, 100.0]", "[0., 2.]", true},
    {"sin", Opcode::sin, "Take the sine of angles in radians.", kFloats, "[0.0]", "[0.]", true},
    {"cos", Opcode::cos, "Take the cosine of angles in radians.", kFloats, "[0.0]", "[1.]", true},
    {"tan", Opcode::tan, "Take the tangent of angles in radians.", kFloats, "[0.0]", "[0.]", false},
    {"arcsin", Opcode::arcsin, "Find the angle in [-pi/2, pi/2] with the given sine.", kFloats, "[0.0]", "[0.]", false},
    {"arccos", Opcode::arccos, "Find the angle in [0, pi] with the given cosine.", kFloats, "[1.0]", "[0.]", false},
    {"arctan", Opcode::arctan, "Find the angle in (-pi/2, pi/2) with the given tangent.", kFloats, "[0.0]", "[0.]",
     false},
    {"sinh", Opcode::sinh, "Take the hyperbolic sine.", kFloats, "[0.0]", "[0.]", false},
    {"cosh", Opcode::cosh, "Take the hyperbolic cosine.", kFloats, "[0.0]", "[1.]", false},
    {"tanh", Opcode::tanh, "Take the hyperbolic tangent.", kFloats, "[0.0]", "[0.]", false},
    {"arcsinh", Opcode::arcsinh, "Take the inverse hyperbolic sine.", kFloats, "[0.0]", "[0.]", false},
    {"arccosh", Opcode::arccosh, "Take the inverse hyperbolic cosine.", kFloats, "[1.0]", "[0.]", false},
    {"arctanh", Opcode::arctanh, "Take the inverse hyperbolic tangent.", kFloats, "[0.0]", "[0.]", false},
    {"sigmoid", Opcode::sigmoid, "Compute the logistic function 1 / (1 + exp(-x)).", kFloats, "[0.0]", "[0.5]", false},
    {"erf", Opcode::erf, "Compute the error function, 2 / sqrt(pi) times the integral of exp(-t * t) from 0 to x.",
     kFloats, "[0.0]", "[0.]", false},
    {"erfc", Opcode::erfc, "Compute 1 - erf(x) without losing digits where it is small.", kFloats, "[0.0, 5.0]",
     "[1.0000000e+00, 1.5374598e-12]", false},
    {"erfinv", Opcode::erfinv, "Compute the inverse of the error function on (-1, 1).", kFloats, "[0.0]", "[0.]",
     false},
    {"lgamma", Opcode::lgamma, "Take the logarithm of the absolute value of the gamma function.", kFloats, "[1.0, 4.0]",
     "[0.       , 1.7917595]", false},
    {"digamma", Opcode::digamma, "Compute the derivative of lgamma. Its own derivatives are `polygamma`.", kFloats,
     "[1.0]", "[-0.5772157]", false},
    {"isnan", Opcode::isnan, "Tell which elements are not a number.", "", "[1.0, float(\"nan\")]", "[False,  True]",
     false},
    {"isinf", Opcode::isinf, "Tell which elements are infinite.", "", "[1.0, float(\"-inf\")]", "[False,  True]",
     false},
    {"isfinite", Opcode::isfinite, "Tell which elements are neither infinite nor NaN.", "", "[1.0, float(\"inf\")]",
     "[ True, False]", false},
    {"logical_not", Opcode::logical_not, "Tell which elements are zero or False.", "", "[0, 2]", "[ True, False]",
     false},
    {"bitwise_invert", Opcode::bitwise_invert, "Flip every bit; of bools, the truth.",
     "Floats are refused with ValueError.", "[0, 1]", "[-1, -2]", false},
    {"real", Opcode::real, "Take the real part.", "Real arrays are returned as they are.", "[1 + 2j]", "[1.]", false},
    {"imag", Opcode::imag, "Take the imaginary part.", "Zero for real arrays.", "[1 + 2j]", "[2.]", false},
    {"conjugate", Opcode::conjugate, "Take the complex conjugate.", "Real arrays are returned as they are.", "[1 + 2j]",
     "[1.-2.j]", false},
};

struct BinaryRow {
  const char* name;
  Opcode op;
  const char* summary;
  const char* details;
  const char* arguments;
  const char* result;
};

constexpr const char* kBroadcast =
    "The shapes broadcast, the dtypes promote; a Python number takes the dtype of the array beside it.";
constexpr const char* kBroadcastFloat =
    "The shapes broadcast; integers become float32. A Python number takes the dtype of the array beside it.";
constexpr const char* kBits = "The shapes broadcast, the dtypes promote; floats are refused with ValueError.";

const BinaryRow binary_rows[] = {
    {"add", Opcode::add, "Add.", kBroadcast, "fn.array([1, 2]), 0.5", "[1.5, 2.5]"},
    {"subtract", Opcode::subtract, "Subtract the second from the first.", kBroadcast, "fn.array([1, 2]), 1", "[0, 1]"},
    {"multiply", Opcode::multiply, "Multiply.", kBroadcast, "fn.array([1, 2]), 3", "[3, 6]"},
    {"divide", Opcode::divide, "Divide the first by the second.", kBroadcastFloat, "fn.array([1, 2]), 2", "[0.5, 1. ]"},
    {"floor_divide", Opcode::floor_divide, "Divide and round down.", kBroadcast, "fn.array([7, -7]), 2", "[ 3, -4]"},
    {"remainder", Opcode::remainder, "Find the remainder of floor_divide, which has the sign of the divisor.",
     kBroadcast, "fn.array([7, -7]), 3", "[1, 2]"},
    {"maximum", Opcode::maximum, "Take the larger of two elements; NaN if either is.",
     "The shapes broadcast. Where both are equal, the derivative goes to the second.", "fn.array([1, 5]), 3", "[3, 5]"},
    {"minimum", Opcode::minimum, "Take the smaller of two elements; NaN if either is.",
     "The shapes broadcast. Where both are equal, the derivative goes to the second.", "fn.array([1, 5]), 3", "[1, 3]"},
    {"arctan2", Opcode::arctan2, "Find the angle of the point (b, a) from the first axis.", kBroadcastFloat,
     "fn.array([0.0, 1.0]), 1.0", "[0.       , 0.7853982]"},
    {"logaddexp", Opcode::logaddexp, "Compute log(exp(a) + exp(b)) without overflow.", kBroadcastFloat,
     "fn.array([0.0, 1000.0]), 0.0", "[6.931472e-01, 1.000000e+03]"},
    {"polygamma", Opcode::polygamma,
     "Compute the derivative of digamma of order a, at b. The order is an integer of at least 0; of others comes NaN.",
     kBroadcastFloat, "1, fn.array([1.0, 2.0])", "[1.644934  , 0.64493406]"},
    {"equal", Opcode::equal, "Tell where two arrays are equal.", kBroadcast, "fn.array([1, 2]), 2", "[False,  True]"},
    {"not_equal", Opcode::not_equal, "Tell where two arrays differ.", kBroadcast, "fn.array([1, 2]), 2",
     "[ True, False]"},
    {"less", Opcode::less, "Tell where the first is less than the second.", kBroadcast, "fn.array([1, 2]), 2",
     "[ True, False]"},
    {"less_equal", Opcode::less_equal, "Tell where the first is at most the second.", kBroadcast, "fn.array([1, 2]), 1",
     "[ True, False]"},
    {"greater", Opcode::greater, "Tell where the first is greater than the second.", kBroadcast, "fn.array([1, 2]), 1",
     "[False,  True]"},
    {"greater_equal", Opcode::greater_equal, "Tell where the first is at least the second.", kBroadcast,
     "fn.array([1, 2]), 2", "[False,  True]"},
    {"logical_and", Opcode::logical_and, "Tell where both are true (not zero).", "The shapes broadcast.",
     "fn.array([True, False]), True", "[ True, False]"},
    {"logical_or", Opcode::logical_or, "Tell where either is true (not zero).", "The shapes broadcast.",
     "fn.array([True, False]), False", "[ True, False]"},
    {"bitwise_and", Opcode::bitwise_and, "Combine the bits by and.", kBits, "fn.array([6]), 3", "[2]"},
    {"bitwise_or", Opcode::bitwise_or, "Combine the bits by or.", kBits, "fn.array([6]), 3", "[7]"},
    {"bitwise_xor", Opcode::bitwise_xor, "Combine the bits by exclusive or.", kBits, "fn.array([6]), 3", "[5]"},
    {"left_shift", Opcode::left_shift, "Shift the bits of the first to the left by the second.", kBits,
     "fn.array([1]), 4", "[16]"},
    {"right_shift", Opcode::right_shift, "Shift the bits of the first to the right by the second.", kBits,
     "fn.array([16]), 4", "[1]"},
};

// "[1., 2.]" of an example as the array it prints.
std::string printed(const char* values, const char* dtype) { return cat("array(", values, ", dtype=", dtype, ")"); }

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

// The dtype an example prints, from the look of its values.
const char* example_dtype(std::string_view values) {
  if (contains(values, "j")) return "complex64";
  if (contains(values, "True") || contains(values, "False")) return "bool";
  return contains(values, ".") ? "float32" : "int32";
}

void bind_unary(nb::module_& m, const UnaryRow& row) {
  Opcode op = row.op;
  const char* name = row.name;
  std::string doc = document(row.summary, row.details, cat("fn.", name, "(fn.array(", row.argument, "))"),
                             printed(row.result, example_dtype(row.result)));
  m.def(
      name, [op, name](nb::handle x) { return wrap_object(unary(op, as_array(x, name))); }, nb::arg("x"),
      nb::sig(cat("def ", name, "(x: ArrayLike, /) -> array").c_str()), doc.c_str());
  if (row.method)
    def_method(
        name, [op](const Array& x) { return unary(op, x); }, nb::sig(cat("def ", name, "(self) -> array").c_str()),
        row.summary);
}

void bind_binary(nb::module_& m, const BinaryRow& row) {
  Opcode op = row.op;
  const char* name = row.name;
  std::string doc = document(row.summary, row.details, cat("fn.", name, "(", row.arguments, ")"),
                             printed(row.result, example_dtype(row.result)));
  m.def(
      name,
      [op, name](nb::handle a, nb::handle b) {
        auto [x, y] = as_operands(a, b, name);
        return wrap_object(binary(op, x, y));
      },
      nb::arg("a"), nb::arg("b"), nb::sig(cat("def ", name, "(a: ArrayLike, b: ArrayLike, /) -> array").c_str()),
      doc.c_str());
}

// Bounds and branches: Python numbers take the dtype of the arrays beside them.
Array bound(nb::handle object, const Array& x, const char* name) {
  if (object.is_none()) return {};
  return as_operand(object, x.dtype(), name);
}

Array power_of(nb::handle a, nb::handle b) {
  auto [x, y] = as_operands(a, b, "power");
  return power(x, y);
}

}  // namespace

void bind_elementwise(nb::module_& m) {
  for (const UnaryRow& row : unary_rows) bind_unary(m, row);
  for (const BinaryRow& row : binary_rows) bind_binary(m, row);
  m.def(
      "_gelu", [](nb::handle x) { return wrap_object(unary(Opcode::gelu, as_array(x, "gelu"))); }, nb::arg("x"),
      nb::sig("def _gelu(x: ArrayLike, /) -> array"), "Compute nn.gelu.");

  m.def(
      "power", [](nb::handle a, nb::handle b) { return power_of(a, b); }, nb::arg("a"), nb::arg("b"),
      nb::sig("def power(a: ArrayLike, b: ArrayLike, /) -> array"),
      document("Raise the first to the power of the second. An integer to a negative power is 0.", kBroadcast,
               "fn.power(fn.array([2, 3]), 2)", "array([4, 9], dtype=int32)")
          .c_str());
  m.def(
      "divmod",
      [](nb::handle a, nb::handle b) {
        auto [x, y] = as_operands(a, b, "divmod");
        return nb::make_tuple(wrap_object(binary(Opcode::floor_divide, x, y)),
                              wrap_object(binary(Opcode::remainder, x, y)));
      },
      nb::arg("a"), nb::arg("b"), nb::sig("def divmod(a: ArrayLike, b: ArrayLike, /) -> tuple[array, array]"),
      document("Find floor_divide and remainder together.", kBroadcast, "fn.divmod(fn.array([7]), 2)",
               "(array([3], dtype=int32), array([1], dtype=int32))")
          .c_str());
  m.def(
      "positive", [](nb::handle x) { return wrap_object(as_array(x, "positive")); }, nb::arg("x"),
      nb::sig("def positive(x: ArrayLike, /) -> array"),
      document("Return the array as it is.", "", "fn.positive(fn.array([1]))", "array([1], dtype=int32)").c_str());
  m.def(
      "logical_xor",
      [](nb::handle a, nb::handle b) {
        auto [x, y] = as_operands(a, b, "logical_xor");
        return wrap_object(binary(Opcode::not_equal, astype(x, Dtype::bool_), astype(y, Dtype::bool_)));
      },
      nb::arg("a"), nb::arg("b"), nb::sig("def logical_xor(a: ArrayLike, b: ArrayLike, /) -> array"),
      document("Tell where exactly one is true (not zero).", "The shapes broadcast.",
               "fn.logical_xor(fn.array([True, False]), True)", "array([False,  True], dtype=bool)")
          .c_str());
  m.def(
      "isposinf",
      [](nb::handle x) {
        Array a = as_array(x, "isposinf");
        return wrap_object(equal(a, constant(HUGE_VAL, Dtype::float32)));
      },
      nb::arg("x"), nb::sig("def isposinf(x: ArrayLike, /) -> array"),
      document("Tell which elements are positive infinity.", "", "fn.isposinf(fn.array([1.0, float(\"inf\")]))",
               "array([False,  True], dtype=bool)")
          .c_str());
  m.def(
      "isneginf",
      [](nb::handle x) {
        Array a = as_array(x, "isneginf");
        return wrap_object(equal(a, constant(-HUGE_VAL, Dtype::float32)));
      },
      nb::arg("x"), nb::sig("def isneginf(x: ArrayLike, /) -> array"),
      document("Tell which elements are negative infinity.", "", "fn.isneginf(fn.array([1.0, float(\"-inf\")]))",
               "array([False,  True], dtype=bool)")
          .c_str());
  struct Scale {
    const char* name;
    double factor;
    const char* summary;
    const char* argument;
    const char* result;
  };
  for (const Scale& s : {Scale{"degrees", 180 / 3.141592653589793, "Convert radians to degrees.", "[0.0]", "[0.]"},
                         Scale{"radians", 3.141592653589793 / 180, "Convert degrees to radians.", "[0.0]", "[0.]"}}) {
    m.def(
        s.name,
        [s](nb::handle x) {
          Array a = as_array(x, s.name);
          Dtype dtype = is_inexact(a.dtype()) ? a.dtype() : Dtype::float32;
          return wrap_object(multiply(a, constant(s.factor, dtype)));
        },
        nb::arg("x"), nb::sig(cat("def ", s.name, "(x: ArrayLike, /) -> array").c_str()),
        document(s.summary, kFloats, cat("fn.", s.name, "(fn.array(", s.argument, "))"), printed(s.result, "float32"))
            .c_str());
  }

  auto round_it = [](nb::handle x, int decimals) { return wrap_object(round(as_array(x, "round"), decimals)); };
  m.def("round", round_it, nb::arg("x"), nb::arg("decimals") = 0,
        nb::sig("def round(x: ArrayLike, /, decimals: int = 0) -> array"),
        document("Round to a number of decimals, halves to the even neighbour.", "",
                 "fn.round(fn.array([0.5, 1.5, 2.26]), 1)", "array([0.5, 1.5, 2.3], dtype=float32)")
            .c_str());
  def_method("round", round_it, nb::arg("decimals") = 0, nb::sig("def round(self, decimals: int = 0) -> array"),
             "Round to a number of decimals, halves to the even neighbour.");
  def_method("__round__", round_it, nb::arg("ndigits") = 0,
             nb::sig("def __round__(self, ndigits: int = 0, /) -> array"));

  m.def(
      "where",
      [](nb::handle condition, nb::handle a, nb::handle b) {
        auto [x, y] = as_operands(a, b, "where");
        return wrap_object(where(as_array(condition, "where"), x, y));
      },
      nb::arg("condition"), nb::arg("x"), nb::arg("y"),
      nb::sig("def where(condition: ArrayLike, x: ArrayLike, y: ArrayLike, /) -> array"),
      document("Choose x where the condition holds and y elsewhere.", "The three shapes broadcast; x and y promote.",
               "fn.where(fn.array([True, False]), 1, 2)", "array([1, 2], dtype=int32)")
          .c_str());
  m.def(
      "where",
      [](nb::handle condition) { return nb::module_::import_("funcnn._selection").attr("nonzero")(condition); },
      nb::arg("condition"), nb::sig("def where(condition: ArrayLike, /) -> tuple[array, ...]"),
      document("Find where the condition holds: the same as `nonzero(condition)`.", "",
               "fn.where(fn.array([False, True]))", "(array([1], dtype=int32),)")
          .c_str());
  auto clip_to = [](nb::handle a, nb::handle low, nb::handle high) {
    Array x = as_array(a, "clip");
    return wrap_object(clip(x, bound(low, x, "clip"), bound(high, x, "clip")));
  };
  // Under the array API standard's names and MLX's.
  using Names = std::pair<const char*, const char*>;
  for (auto [low, high] : {Names("min", "max"), Names("a_min", "a_max")}) {
    std::string bounds = cat(low, ": ArrayLike | None = None, ", high, ": ArrayLike | None = None) -> array");
    m.def("clip", clip_to, nb::arg("x"), nb::arg(low).none() = nb::none(), nb::arg(high).none() = nb::none(),
          nb::sig(cat("def clip(x: ArrayLike, /, ", bounds).c_str()),
          document(cat("Limit each element to [", low, ", ", high, "]."), "None is no bound; the shapes broadcast.",
                   "fn.clip(fn.array([-1, 5]), 0, 3)", "array([0, 3], dtype=int32)")
              .c_str());
    def_method("clip", clip_to, nb::arg(low).none() = nb::none(), nb::arg(high).none() = nb::none(),
               nb::sig(cat("def clip(self, ", bounds).c_str()),
               cat("Limit each element to [", low, ", ", high, "]; None is no bound.").c_str());
  }
  auto convert_to = [](nb::handle object, nb::handle dtype, bool copy, nb::handle device) {
    Array x = as_array(object, "astype"), made = astype(x, dtype_of(dtype));
    if (copy && made.node() == x.node()) made = unshared(made);
    return wrap_object(placed(std::move(made), device, "astype"));
  };
  m.def(
      "astype", convert_to, nb::arg("x"), nb::arg("dtype"), nb::kw_only(), nb::arg("copy") = true,
      nb::arg("device").none() = nb::none(),
      nb::sig("def astype(x: ArrayLike, dtype: Dtype, /, *, copy: bool = True, device: Device | str | None = None) -> "
              "array"),
      document(
          "Convert the elements to another dtype.",
          "Args:\n    x: The array.\n    dtype: The dtype.\n    copy: Whether an array that has the dtype already, "
          "but shares its memory with another library, is copied.\n    device: Where the result goes; default: "
          "where x is.",
          "fn.astype(fn.array([1.7]), fn.int32)", "array([1], dtype=int32)")
          .c_str());
  def_method(
      "astype", convert_to, nb::arg("dtype"), nb::kw_only(), nb::arg("copy") = true,
      nb::arg("device").none() = nb::none(),
      nb::sig("def astype(self, dtype: Dtype, *, copy: bool = True, device: Device | str | None = None) -> array"),
      "Convert the elements to another dtype.\n\nSee `funcnn.astype`.");
  for (const char* name : {"conj", "conjugate"})
    def_method(
        name, [](const Array& x) { return conjugate(x); }, nb::sig(cat("def ", name, "(self) -> array").c_str()),
        "Take the complex conjugate.");
  m.def(
      "isclose",
      [](nb::handle a, nb::handle b, double rtol, double atol, bool equal_nan) {
        auto [x, y] = as_operands(a, b, "isclose");
        return wrap_object(isclose(x, y, rtol, atol, equal_nan));
      },
      nb::arg("a"), nb::arg("b"), nb::arg("rtol") = 1e-5, nb::arg("atol") = 1e-8, nb::kw_only(),
      nb::arg("equal_nan") = false,
      nb::sig(
          "def isclose(a: ArrayLike, b: ArrayLike, /, rtol: float = 1e-05, atol: float = 1e-08, *, equal_nan: bool = "
          "False) -> array"),
      document("Tell where |a - b| <= atol + rtol * |b|.",
               "Infinities are close to themselves, NaNs only with `equal_nan`.",
               "fn.isclose(fn.array([1.0, 2.0]), fn.array([1.0, 2.1]))", "array([ True, False], dtype=bool)")
          .c_str());
  m.def(
      "nan_to_num",
      [](nb::handle x, double nan, std::optional<double> posinf, std::optional<double> neginf) {
        return wrap_object(nan_to_num(as_array(x, "nan_to_num"), nan, posinf, neginf));
      },
      nb::arg("x"), nb::arg("nan") = 0.0, nb::arg("posinf").none() = nb::none(), nb::arg("neginf").none() = nb::none(),
      nb::sig(
          "def nan_to_num(x: ArrayLike, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) "
          "-> array"),
      document("Replace NaN and infinities by finite numbers.",
               "Infinities become the largest and smallest numbers of the dtype by default.",
               "fn.nan_to_num(fn.array([float(\"nan\"), 1.0]))", "array([0., 1.], dtype=float32)")
          .c_str());
}

}  // namespace funcnn
