// Matrix products and norms.
#include <nanobind/stl/string.h>

#include "bindings/define.h"
#include "bindings/linalg.h"
#include "bindings/sequence.h"
#include "ops/dot.h"
#include "ops/einsum.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"

namespace funcnn {
namespace {

// NumPy's dot.
Array dot_product(const Array& a, const Array& b) {
  if (a.ndim() == 0 || b.ndim() == 0) return multiply(a, b);
  int64_t at = b.ndim() == 1 ? -1 : -2;
  if (a.dim(-1) != b.dim(int(at)))
    throw ValueError(cat("dot: the last axis of the first argument (size ", a.dim(-1), ") must match the ",
                         at == -1 ? "last" : "second-to-last", " axis of the second (size ", b.dim(int(at)),
                         "); shapes ", a.shape(), " and ", b.shape()));
  const int64_t of_a[] = {-1}, of_b[] = {at};
  return tensordot(a, b, of_a, of_b, "dot");
}

// (a, b) functions without further arguments.
struct Row {
  const char* name;
  Array (*function)(const Array&, const Array&);
  const char* summary;
  const char* details;
  const char* arguments;
  const char* result;
};

const Row rows[] = {
    {"matmul", matmul, "Multiply matrices.",
     "Vectors are taken for a row on the left and a column on the right; axes before the last two broadcast.\n\n"
     "Raises:\n    ValueError: if the inner lengths differ, or for integers.",
     "fn.array([[1.0, 2.0]]), fn.array([[3.0], [4.0]])", "array([[11.]], dtype=float32)"},
    {"dot", dot_product,
     "Add up products over the last axis of one and the second-to-last of the other, as NumPy's dot.",
     "Of a vector the only axis is taken; a number multiplies. Unlike matmul, leading axes do not broadcast: the "
     "result "
     "has\nthose of both.",
     "fn.array([1.0, 2.0]), fn.array([3.0, 4.0])", "array(11., dtype=float32)"},
    {"inner", inner, "Multiply along the last axes of both and add up.", "",
     "fn.array([1.0, 2.0]), fn.array([3.0, 4.0])", "array(11., dtype=float32)"},
    {"outer", outer, "Multiply every element of one with every element of the other.", "Both are flattened.",
     "fn.array([1.0, 2.0]), fn.array([3.0, 4.0])", "array([[3., 4.],\n       [6., 8.]], dtype=float32)"},
    {"kron", kron, "Compute the Kronecker product.", "", "fn.array([1.0, 2.0]), fn.array([1.0, 1.0])",
     "array([1., 1., 2., 2.], dtype=float32)"},
};

Arrays arrays_of(nb::args operands, const char* name) {
  Arrays out;
  for (nb::handle operand : operands) out.push_back(as_array(operand, name));
  return out;
}

Array norm_of(const Array& x, nb::handle order, nb::handle axis, bool keepdims) {
  AxisSet axes = axes_of(axis, "norm");
  if (order.is_none()) return norm(x, std::nullopt, "", axes, keepdims);
  if (nb::isinstance<nb::str>(order)) return norm(x, std::nullopt, nb::borrow<nb::str>(order).c_str(), axes, keepdims);
  return norm(x, nb::cast<double>(order), "", axes, keepdims);
}

}  // namespace

void bind_linalg(nb::module_& m) {
  for (const Row& row : rows) {
    auto* function = row.function;
    const char* name = row.name;
    m.def(
        name,
        [function, name](nb::handle a, nb::handle b) {
          auto [x, y] = as_operands(a, b, name);
          return wrap_object(function(x, y));
        },
        nb::arg("a"), nb::arg("b"), nb::sig(cat("def ", name, "(a: ArrayLike, b: ArrayLike, /) -> array").c_str()),
        example(name, row.summary, row.details, row.arguments, row.result).c_str());
  }
  def_method(
      "dot", [](const Array& x, nb::handle b) { return dot_product(x, as_operand(b, x.dtype(), "dot")); }, nb::arg("b"),
      nb::sig("def dot(self, b: ArrayLike) -> array"),
      "Add up products over the last axis and the second-to-last of the other.\n\nSee `funcnn.dot`.");
  m.def(
      "addmm",
      [](nb::handle c, nb::handle a, nb::handle b, double alpha, double beta) {
        return wrap_object(addmm(as_array(c, "addmm"), as_array(a, "addmm"), as_array(b, "addmm"), alpha, beta));
      },
      nb::arg("c"), nb::arg("a"), nb::arg("b"), nb::arg("alpha") = 1.0, nb::arg("beta") = 1.0,
      nb::sig("def addmm(c: ArrayLike, a: ArrayLike, b: ArrayLike, /, alpha: float = 1.0, beta: float = 1.0) -> array"),
      example("addmm", "Compute alpha * (a @ b) + beta * c.", "",
              "fn.array([1.0]), fn.array([[2.0]]), fn.array([[3.0]])", "array([[7.]], dtype=float32)")
          .c_str());
  m.def(
      "vecdot",
      [](nb::handle a, nb::handle b, int64_t axis) {
        auto [x, y] = as_operands(a, b, "vecdot");
        return wrap_object(vecdot(x, y, axis));
      },
      nb::arg("a"), nb::arg("b"), nb::kw_only(), nb::arg("axis") = -1,
      nb::sig("def vecdot(a: ArrayLike, b: ArrayLike, /, *, axis: int = -1) -> array"),
      example("vecdot", "Add up the products along one axis.", "The other axes broadcast.",
              "fn.array([[1.0, 2.0]]), fn.array([3.0, 4.0])", "array([11.], dtype=float32)")
          .c_str());
  m.def(
      "tensordot",
      [](nb::handle a, nb::handle b, nb::handle axes) {
        auto [x, y] = as_operands(a, b, "tensordot");
        if (is_index(axes)) return wrap_object(tensordot(x, y, integer_of(axes, "tensordot")));
        if (!PySequence_Check(axes.ptr()) || is_text(axes.ptr()))
          throw TypeError(
              cat("tensordot: axes must be a number of axes or the axes of both arrays, got ", python_type(axes)));
        if (nb::len(axes) != 2) throw ValueError("tensordot: expected the axes of both arrays");
        auto left = integers_of(nb::object(axes[0]), "tensordot"),
             right = integers_of(nb::object(axes[1]), "tensordot");
        return wrap_object(tensordot(x, y, std::span<const int64_t>(left), std::span<const int64_t>(right)));
      },
      nb::arg("a"), nb::arg("b"), nb::arg("axes") = 2,
      nb::sig("def tensordot(a: ArrayLike, b: ArrayLike, /, axes: int | Sequence[Sequence[int]] = 2) -> array"),
      example("tensordot", "Add up products over axes of both arrays.",
              "`axes` is a number n (the last n of a with the first n of b) or the axes of a and the axes of b.",
              "fn.array([1.0, 2.0]), fn.array([3.0, 4.0]), 1", "array(11., dtype=float32)")
          .c_str());
  m.def(
      "einsum",
      [](const std::string& subscripts, nb::args operands) {
        return wrap_object(einsum(subscripts, arrays_of(operands, "einsum")));
      },
      nb::arg("subscripts"), nb::arg("operands"),
      nb::sig("def einsum(subscripts: str, /, *operands: ArrayLike) -> array"),
      example(
          "einsum", "Sum products over the axes that the output does not name.",
          "Axes are letters; '...' stands for leading axes that broadcast. More than two operands are contracted in "
          "pairs, the cheapest first.",
          "\"ij,j->i\", fn.array([[1.0, 2.0]]), fn.array([3.0, 4.0])", "array([11.], dtype=float32)")
          .c_str());
  m.def(
      "einsum_path",
      [](const std::string& subscripts, nb::args operands) {
        nb::list path;
        for (const std::vector<int>& step : einsum_path(subscripts, arrays_of(operands, "einsum_path"))) {
          nb::list positions;
          for (int position : step) positions.append(position);
          path.append(nb::tuple(positions));
        }
        return path;
      },
      nb::arg("subscripts"), nb::arg("operands"),
      nb::sig("def einsum_path(subscripts: str, /, *operands: ArrayLike) -> list[tuple[int, ...]]"),
      example("einsum_path", "List the pairs that einsum contracts, by position in the list of operands left.",
              "The result of each step goes to the end of the list.",
              "\"ij,jk,kl->il\", fn.ones((2, 3)), fn.ones((3, 4)), fn.ones((4, 5))", "[(1, 2), (0, 1)]")
          .c_str());
  nb::module_ linalg = m.def_submodule("linalg", "Linear algebra; see funcnn.linalg.");
  bind_factorisations(linalg);
  define_function(
      linalg, "norm",
      [](nb::handle x, nb::handle order, nb::handle axis, bool keepdims) {
        return wrap_object(norm_of(as_array(x, "norm"), order, axis, keepdims));
      },
      {"ord: float | str | None = None, axis: int | Sequence[int] | None = None, keepdims: bool = False",
       document(
           "Compute a norm of vectors or matrices.",
           "Args:\n    x: The array; integers become float32.\n"
           "    ord: Of vectors the order p, inf and -inf included. Of matrices 'fro', 'nuc' (the sum of the singular "
           "values), 2\n        or -2 (the largest, the smallest), 1 or -1 (of the sums of columns), inf or -inf (of "
           "rows).\n        Default: the 2-norm of all elements.\n"
           "    axis: The axis of vectors or the two axes of matrices; default: all.\n"
           "    keepdims: Keep the reduced axes with length 1.",
           "fn.linalg.norm(fn.array([3.0, 4.0]))", "array(5., dtype=float32)")},
      or_none("ord"), or_none("axis"), nb::arg("keepdims") = false);
}

}  // namespace funcnn
