// Reductions over axes.
#include <nanobind/stl/string.h>

#include "bindings/define.h"
#include "bindings/sequence.h"
#include "ops/elementwise.h"
#include "ops/numeric.h"
#include "ops/reduce.h"

namespace funcnn {
namespace {

constexpr const char* kAxes = "axis: int | Sequence[int] | None = None, keepdims: bool = False";
constexpr const char* kAxesText =
    "Args:\n    x: The array.\n    axis: The axis or axes to reduce; default: all.\n"
    "    keepdims: Keep the reduced axes with length 1.";

// A mask or an initial value; null for None.
Array optional_mask(nb::handle object, const char* name) { return object.is_none() ? Array() : as_array(object, name); }

constexpr const char* kWhereText =
    "\n    where: A bool array that broadcasts to x: the elements that count; default: all.";

// Reductions that combine elements with an initial value.
struct Combining {
  const char* name;
  Array (*function)(const Array&, const AxisSet&, bool, const Selection&);
  const char* summary;
  const char* details;
  const char* initial;
  const char* arguments;
  const char* result;
};

const Combining combining[] = {
    {"sum", sum, "Add up the elements.",
     "Floats are summed in blocks, so that the error stays small; integers narrower than 32 bits give int32 or uint32.",
     "A number added to the sum.", "fn.array([[1, 2], [3, 4]]), axis=0", "array([4, 6], dtype=int32)"},
    {"prod", prod, "Multiply the elements.", "Integers narrower than 32 bits give int32 or uint32.",
     "A number that the product is multiplied by.", "fn.array([1, 2, 3])", "array(6, dtype=int32)"},
    {"max", max, "Take the largest element; NaN if there is one.",
     "Elements that share the maximum share its derivative.", "The least that comes out, also where no element counts.",
     "fn.array([3, 1, 2])", "array(3, dtype=int32)"},
    {"min", min, "Take the smallest element; NaN if there is one.",
     "Elements that share the minimum share its derivative.", "The most that comes out, also where no element counts.",
     "fn.array([3, 1, 2])", "array(1, dtype=int32)"},
};

// Reductions of what a mask selects.
struct Selecting {
  const char* name;
  Array (*function)(const Array&, const AxisSet&, bool, const Array&);
  const char* summary;
  const char* details;
  const char* arguments;
  const char* result;
};

const Selecting selecting[] = {
    {"mean", mean, "Take the mean.", "Integers give float32.", "fn.array([1, 2, 4, 5])", "array(3., dtype=float32)"},
    {"all", all, "Tell whether all elements are true (not zero).", "", "fn.array([True, False])",
     "array(False, dtype=bool)"},
    {"any", any, "Tell whether any element is true (not zero).", "", "fn.array([True, False])",
     "array(True, dtype=bool)"},
};

std::string details_of(const char* details, const std::string& arguments) {
  return *details ? cat(details, "\n\n", kAxesText, arguments) : cat(kAxesText, arguments);
}

Array count_nonzero(const Array& x, const AxisSet& axes, bool keepdims) {
  return count(astype(x, Dtype::bool_), resolve_axes("count_nonzero", axes, x.ndim()), keepdims);
}

Array array_equal(const Array& a, const Array& b, bool equal_nan) {
  if (a.shape() != b.shape()) return constant(0, Dtype::bool_);
  Array same = equal(a, b);
  if (equal_nan)
    same =
        binary(Opcode::logical_or, same, binary(Opcode::logical_and, unary(Opcode::isnan, a), unary(Opcode::isnan, b)));
  return all(same, {}, false);
}

}  // namespace

void bind_reduce(nb::module_& m) {
  for (const Combining& row : combining) {
    bool sums = row.function == sum || row.function == prod;
    auto reduction = [function = row.function, name = row.name, sums](nb::handle x, nb::handle axis, bool keepdims,
                                                                      nb::handle initial, nb::handle where,
                                                                      nb::handle dtype) {
      Array a = as_array(x, name);
      if (auto to = optional_dtype(dtype)) a = astype(a, *to);
      Selection selection{optional_mask(where, name), {}};
      if (!initial.is_none()) selection.initial = as_operand(initial, sums ? sum_dtype(a.dtype()) : a.dtype(), name);
      Array made = function(a, axes_of(axis, name), keepdims, selection);
      auto to = optional_dtype(dtype);
      return wrap_object(to ? astype(made, *to) : made);
    };
    std::string arguments = cat("\n    initial: ", row.initial, kWhereText, sums ? "" : " Needs `initial`.");
    constexpr const char* parameters =
        "axis: int | Sequence[int] | None = None, keepdims: bool = False, *, initial: ArrayLike | None = None, where: "
        "ArrayLike | None = None";
    if (sums)
      define_both(
          m, row.name, reduction,
          {cat(parameters, ", dtype: Dtype | None = None").c_str(),
           example(row.name, row.summary,
                   details_of(row.details, cat(arguments, "\n    dtype: What to convert the elements to first.")),
                   row.arguments, row.result)},
          or_none("axis"), nb::arg("keepdims") = false, nb::kw_only(), or_none("initial"), or_none("where"),
          or_none("dtype"));
    else
      define_both(
          m, row.name,
          [reduction](nb::handle x, nb::handle axis, bool keepdims, nb::handle initial, nb::handle where) {
            return reduction(x, axis, keepdims, initial, where, nb::none());
          },
          {parameters, example(row.name, row.summary, details_of(row.details, arguments), row.arguments, row.result)},
          or_none("axis"), nb::arg("keepdims") = false, nb::kw_only(), or_none("initial"), or_none("where"));
  }
  for (const Selecting& row : selecting) {
    define_both(
        m, row.name,
        [function = row.function, name = row.name](nb::handle x, nb::handle axis, bool keepdims, nb::handle where) {
          return wrap_object(function(as_array(x, name), axes_of(axis, name), keepdims, optional_mask(where, name)));
        },
        {"axis: int | Sequence[int] | None = None, keepdims: bool = False, *, where: ArrayLike | None = None",
         example(row.name, row.summary, details_of(row.details, kWhereText), row.arguments, row.result)},
        or_none("axis"), nb::arg("keepdims") = false, nb::kw_only(), or_none("where"));
  }
  define_both(
      m, "logsumexp",
      [](nb::handle x, nb::handle axis, bool keepdims) {
        return wrap_object(logsumexp(as_array(x, "logsumexp"), axes_of(axis, "logsumexp"), keepdims));
      },
      {kAxes, example("logsumexp", "Compute log(sum(exp(x))) without overflow.",
                      details_of("Of nothing, -inf. Of -inf alone, -inf with derivatives of 0.", ""),
                      "fn.array([1000.0])", "array(1000., dtype=float32)")},
      or_none("axis"), nb::arg("keepdims") = false);
  struct Spread {
    const char* name;
    Array (*function)(const Array&, const AxisSet&, bool, double, const Array&);
    const char* summary;
    const char* result;
    const char* details;
  };
  for (const Spread& row : {Spread{"var", var, "Compute the variance.", "array(1., dtype=float32)", ""},
                            Spread{"std", std, "Compute the standard deviation.", "array(1., dtype=float32)",
                                   " Of equal elements its derivatives are 0."}}) {
    define_both(
        m, row.name,
        [row](nb::handle x, nb::handle axis, bool keepdims, double ddof, nb::handle where, nb::handle correction) {
          if (!correction.is_none()) {
            if (ddof != 0)
              throw ValueError(cat(row.name, ": ddof and correction are two names of one argument, got both"));
            if (!nb::try_cast(correction, ddof))
              throw TypeError(cat(row.name, ": correction must be a number, got ", python_type(correction)));
          }
          return wrap_object(row.function(as_array(x, row.name), axes_of(axis, row.name), keepdims, ddof,
                                          optional_mask(where, row.name)));
        },
        {"axis: int | Sequence[int] | None = None, keepdims: bool = False, ddof: float = 0, *, where: ArrayLike | None "
         "= "
         "None, correction: float | None = None",
         example(row.name, row.summary,
                 cat("Integers give float32.", row.details, "\n\n", kAxesText,
                     "\n    ddof: The divisor is the number of elements less this.", kWhereText,
                     "\n    correction: The array API standard's name for `ddof`."),
                 "fn.array([1.0, 3.0])", row.result)},
        or_none("axis"), nb::arg("keepdims") = false, nb::arg("ddof") = 0, nb::kw_only(), or_none("where"),
        or_none("correction"));
  }
  define_function(
      m, "count_nonzero",
      [](nb::handle x, nb::handle axis, bool keepdims) {
        return wrap_object(count_nonzero(as_array(x, "count_nonzero"), axes_of(axis, "count_nonzero"), keepdims));
      },
      {"*, axis: int | Sequence[int] | None = None, keepdims: bool = False",
       example("count_nonzero", "Count the elements that are not zero.",
               cat("The count is int32, or int64 where it may need to be.\n\n", kAxesText), "fn.array([0, 3, 4])",
               "array(2, dtype=int32)")},
      nb::kw_only(), or_none("axis"), nb::arg("keepdims") = false);
  define_function(
      m, "minmax",
      [](nb::handle x, nb::handle axis, bool keepdims) {
        Array a = as_array(x, "minmax");
        return nb::make_tuple(wrap_object(min(a, axes_of(axis, "minmax"), keepdims)),
                              wrap_object(max(a, axes_of(axis, "minmax"), keepdims)));
      },
      {kAxes,
       example("minmax", "Take the smallest and the largest element.", kAxesText, "fn.array([3, 1])",
               "(array(1, dtype=int32), array(3, dtype=int32))"),
       "tuple[array, array]"},
      or_none("axis"), nb::arg("keepdims") = false);
  define_function(
      m, "softmax",
      [](nb::handle x, nb::handle axis, bool) {
        return wrap_object(softmax(as_array(x, "softmax"), axes_of(axis, "softmax")));
      },
      {"axis: int | Sequence[int] | None = None, *, precise: bool = False",
       example("softmax", "Compute exp(x) / sum(exp(x)) along the axes, without overflow.",
               "Args:\n    x: The array; integers become float32.\n    axis: The axis or axes; default: all.\n"
               "    precise: Has no effect: 16-bit floats are always summed in float32.",
               "fn.array([0.0, 0.0])", "array([0.5, 0.5], dtype=float32)")},
      or_none("axis"), nb::kw_only(), nb::arg("precise") = false);
  define_function(
      m, "log_softmax",
      [](nb::handle x, nb::handle axis) {
        return wrap_object(log_softmax(as_array(x, "log_softmax"), axes_of(axis, "log_softmax")));
      },
      {"axis: int | Sequence[int] | None = None",
       example("log_softmax", "Compute x - logsumexp(x) along the axes.", "", "fn.array([0.0, 0.0])",
               "array([-0.6931472, -0.6931472], dtype=float32)")},
      or_none("axis"));
  m.def(
      "allclose",
      [](nb::handle a, nb::handle b, double rtol, double atol, bool equal_nan) {
        auto [x, y] = as_operands(a, b, "allclose");
        return wrap_object(all(isclose(x, y, rtol, atol, equal_nan), {}, false));
      },
      nb::arg("a"), nb::arg("b"), nb::arg("rtol") = 1e-5, nb::arg("atol") = 1e-8, nb::kw_only(),
      nb::arg("equal_nan") = false,
      nb::sig(
          "def allclose(a: ArrayLike, b: ArrayLike, /, rtol: float = 1e-05, atol: float = 1e-08, *, equal_nan: bool = "
          "False) -> array"),
      example("allclose", "Tell whether |a - b| <= atol + rtol * |b| everywhere.",
              "Infinities are close to themselves, NaNs only with `equal_nan`.",
              "fn.array([1.0]), fn.array([1.1]), rtol=0.2", "array(True, dtype=bool)")
          .c_str());
  m.def(
      "array_equal",
      [](nb::handle a, nb::handle b, bool equal_nan) {
        auto [x, y] = as_operands(a, b, "array_equal");
        return wrap_object(array_equal(x, y, equal_nan));
      },
      nb::arg("a"), nb::arg("b"), nb::arg("equal_nan") = false,
      nb::sig("def array_equal(a: ArrayLike, b: ArrayLike, equal_nan: bool = False) -> array"),
      example("array_equal", "Tell whether two arrays have the same shape and the same elements.", "",
              "fn.array([1, 2]), fn.array([1, 2])", "array(True, dtype=bool)")
          .c_str());
}

}  // namespace funcnn
