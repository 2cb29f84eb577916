// Sorting, extreme positions, running reductions, taking and putting at positions.
#include <nanobind/stl/string.h>

#include "bindings/define.h"
#include "ops/argreduce.h"
#include "ops/cumulative.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "ops/sort.h"
#include "ops/views.h"

namespace funcnn {
namespace {

Array sort_down(const Array& x, MaybeAxis along);
Array argsort_down(const Array& x, MaybeAxis along);

struct SortRow {
  const char* name;
  Array (*function)(const Array&, MaybeAxis);
  Array (*down)(const Array&, MaybeAxis);
  const char* summary;
  const char* result;
};
const SortRow sort_rows[] = {
    {"sort", sort, sort_down, "Sort along an axis, in ascending order.", "array([1, 2, 3], dtype=int32)"},
    {"argsort", argsort, argsort_down, "Find the positions (uint32) that sort along an axis.",
     "array([1, 2, 0], dtype=uint32)"},
};

struct SelectRow {
  const char* name;
  Array (*function)(const Array&, int64_t, MaybeAxis);
  const char* parameter;
  const char* summary;
  const char* result;
};
const SelectRow select_rows[] = {
    {"partition", partition, "kth",
     "Put the element that sorting puts at `kth` there, smaller ones before and larger ones after.",
     "array([1, 2, 3], dtype=int32)"},
    {"argpartition", argpartition, "kth", "Find positions (uint32) that partition along an axis.",
     "array([1, 2, 0], dtype=uint32)"},
    {"topk", topk, "k", "Take the k largest elements along an axis, in ascending order.", "array([3], dtype=int32)"},
};

struct ArgRow {
  const char* name;
  Array (*function)(const Array&, MaybeAxis, bool);
  const char* summary;
  const char* result;
};
const ArgRow arg_rows[] = {
    {"argmax", argmax, "Find the position (uint32) of the first largest element.", "array(0, dtype=uint32)"},
    {"argmin", argmin, "Find the position (uint32) of the first smallest element.", "array(1, dtype=uint32)"},
};

struct RunningRow {
  const char* name;
  Array (*function)(const Array&, MaybeAxis, bool, bool);
  const char* summary;
  bool dtype;  // takes one
  const char* argument;
  const char* result;
};
const RunningRow running_rows[] = {
    {"cumsum", cumsum, "Add up each element and all before it.", true, "[1, 2, 3]", "array([1, 3, 6], dtype=int32)"},
    {"cumprod", cumprod, "Multiply each element and all before it.", true, "[1, 2, 3]",
     "array([1, 2, 6], dtype=int32)"},
    {"cummax", cummax, "Take the largest of each element and all before it.", false, "[1, 3, 2]",
     "array([1, 3, 3], dtype=int32)"},
    {"cummin", cummin, "Take the smallest of each element and all before it.", false, "[3, 1, 2]",
     "array([3, 1, 1], dtype=int32)"},
    {"logcumsumexp", logcumsumexp, "Compute log(cumsum(exp(x))) without overflow.", false, "[0.0, 0.0]",
     "array([0.       , 0.6931472], dtype=float32)"},
};

constexpr const char* kOrder =
    "The order is ascending and stable; NaN comes last. With `axis=None` the array is flattened first.";

// The positions that sort in descending order, of equal elements the first one first: those of the reverse, reversed.
Array argsort_down(const Array& x, MaybeAxis along) {
  Array a = along ? x : flatten(x, 0, -1);
  int axis = a.ndim() ? normalize_axis("argsort", along.value_or(-1), a.ndim()) : 0;
  if (a.ndim() == 0) return argsort(a, along);
  const int64_t axes[] = {axis};
  Array order = flip(argsort(flip(a, axes), axis), axes);
  return subtract(constant(a.dim(axis) - 1, order.dtype()), order);
}
Array sort_down(const Array& x, MaybeAxis along) {
  Array sorted = sort(x, along);
  if (sorted.ndim() == 0) return sorted;
  const int64_t axes[] = {along.value_or(-1)};
  return flip(sorted, axes);
}

Array take_of(nb::handle x, nb::handle indices, nb::handle axis) {
  Array a = as_array(x, "take"), at = as_array(indices, "take");
  return axis.is_none() ? take(a, at) : take(a, at, integer_of(axis, "take"));
}

Array take_along(nb::handle x, nb::handle indices, nb::handle axis) {
  Array a = as_array(x, "take_along_axis"), at = as_array(indices, "take_along_axis");
  if (axis.is_none()) return take_along_axis(flatten(a, 0, -1), flatten(at, 0, -1), 0);
  return take_along_axis(a, at, integer_of(axis, "take_along_axis"));
}

Array put_along(nb::handle x, nb::handle indices, nb::handle values, nb::handle axis) {
  Array a = as_array(x, "put_along_axis"), at = as_array(indices, "put_along_axis");
  Array v = as_operand(values, a.dtype(), "put_along_axis");
  if (axis.is_none())
    return reshape(put_along_axis(flatten(a, 0, -1), flatten(at, 0, -1), v.ndim() ? flatten(v, 0, -1) : v, 0),
                   a.shape());
  return put_along_axis(a, at, v, integer_of(axis, "put_along_axis"));
}

}  // namespace

void bind_order(nb::module_& m) {
  for (const SortRow& row : sort_rows)
    define_both(
        m, row.name,
        [row](nb::handle x, nb::handle axis, bool descending, bool) {
          return wrap_object(
              (descending ? row.down : row.function)(as_array(x, row.name), optional_integer(axis, row.name)));
        },
        {"axis: int | None = -1, *, descending: bool = False, stable: bool = True",
         example(row.name, row.summary,
                 "Args:\n    x: The array.\n    axis: The axis; None flattens the array first.\n    descending: "
                 "Whether the "
                 "largest come first. NaN counts as the largest.\n    stable: Equal elements keep their order, also "
                 "with False.",
                 "fn.array([3, 1, 2])", row.result)},
        nb::arg("axis").none() = -1, nb::kw_only(), nb::arg("descending") = false, nb::arg("stable") = true);
  for (const SelectRow& row : select_rows)
    define_both(
        m, row.name,
        [row](nb::handle x, int64_t k, nb::handle axis) {
          return wrap_object(row.function(as_array(x, row.name), k, optional_integer(axis, row.name)));
        },
        {row.name[0] == 't' ? "k: int, axis: int | None = -1" : "kth: int, axis: int | None = -1",
         example(row.name, row.summary, kOrder, "fn.array([3, 1, 2]), 1", row.result)},
        nb::arg(row.parameter), nb::arg("axis").none() = -1);
  for (const ArgRow& row : arg_rows)
    define_both(
        m, row.name,
        [row](nb::handle x, nb::handle axis, bool keepdims) {
          return wrap_object(row.function(as_array(x, row.name), optional_integer(axis, row.name), keepdims));
        },
        {"axis: int | None = None, keepdims: bool = False",
         example(row.name, row.summary, "NaN wins. By default, the position in the flattened array.",
                 "fn.array([3, 1, 2])", row.result)},
        or_none("axis"), nb::arg("keepdims") = false);
  for (const RunningRow& row : running_rows) {
    std::string doc = example(row.name, row.summary,
                              "Args:\n    x: The array.\n    axis: The axis; default: the array is flattened first.\n"
                              "    reverse: Start from the end.\n    inclusive: Whether each element counts itself.",
                              cat("fn.array(", row.argument, ")"), row.result);
    if (row.dtype)
      define_both(
          m, row.name,
          [row](nb::handle x, nb::handle axis, bool reverse, bool inclusive, nb::handle dtype) {
            Array a = as_array(x, row.name);
            if (auto to = optional_dtype(dtype)) a = astype(a, *to);
            return wrap_object(row.function(a, optional_integer(axis, row.name), reverse, inclusive));
          },
          {"axis: int | None = None, *, reverse: bool = False, inclusive: bool = True, dtype: Dtype | None = None",
           doc},
          or_none("axis"), nb::kw_only(), nb::arg("reverse") = false, nb::arg("inclusive") = true, or_none("dtype"));
    else
      define_both(
          m, row.name,
          [row](nb::handle x, nb::handle axis, bool reverse, bool inclusive) {
            return wrap_object(
                row.function(as_array(x, row.name), optional_integer(axis, row.name), reverse, inclusive));
          },
          {"axis: int | None = None, *, reverse: bool = False, inclusive: bool = True", doc}, or_none("axis"),
          nb::kw_only(), nb::arg("reverse") = false, nb::arg("inclusive") = true);
  }
  auto search = [](nb::handle sorted, nb::handle values, const std::string& side, nb::handle sorter) {
    if (side != "left" && side != "right")
      throw ValueError(cat("searchsorted: expected side 'left' or 'right', got '", side, "'"));
    auto [a, v] = as_operands(sorted, values, "searchsorted");
    if (!sorter.is_none()) {
      Array order = as_array(sorter, "searchsorted");
      if (order.shape() != a.shape())
        throw ValueError(cat("searchsorted: the sorter must have the shape of what it sorts, got shapes ",
                             order.shape(), " and ", a.shape()));
      a = take(a, order, 0);
    }
    return wrap_object(searchsorted(a, v, side == "right"));
  };
  def_method("searchsorted", search, nb::arg("values"), nb::arg("side") = "left", nb::kw_only(), or_none("sorter"),
             nb::sig("def searchsorted(self, values: ArrayLike, side: Literal['left', 'right'] = 'left', *, sorter: "
                     "ArrayLike | None = None) -> array"),
             "Find where values belong in a sorted vector, as uint32.\n\nSee `funcnn.searchsorted`.");
  m.def("searchsorted", search, nb::arg("sorted_sequence"), nb::arg("values"), nb::arg("side") = "left", nb::kw_only(),
        or_none("sorter"),
        nb::sig("def searchsorted(sorted_sequence: ArrayLike, values: ArrayLike, /, side: Literal['left', 'right'] = "
                "'left', *, sorter: ArrayLike | None = None) -> array"),
        example("searchsorted", "Find where values belong in a sorted vector, as uint32.",
                "Equal elements come after the place found on the left side, before it on the right. `sorter` are the "
                "positions "
                "that\nsort the vector, where it is not sorted.",
                "fn.array([1, 3, 5]), fn.array([3, 4])", "array([1, 2], dtype=uint32)")
            .c_str());
  define_both(
      m, "take",
      [](nb::handle x, nb::handle indices, nb::handle axis) { return wrap_object(take_of(x, indices, axis)); },
      {"indices: ArrayLike, axis: int | None = None",
       example("take", "Take the elements at positions along an axis, or of the flattened array.",
               "Negative positions count from the end; those out of range give zero.",
               "fn.array([10, 20, 30]), fn.array([2, 0])", "array([30, 10], dtype=int32)")},
      nb::arg("indices"), or_none("axis"));
  define_function(
      m, "take_along_axis",
      [](nb::handle x, nb::handle indices, nb::handle axis) { return wrap_object(take_along(x, indices, axis)); },
      {"indices: ArrayLike, axis: int | None = -1",
       example("take_along_axis", "Take, for each position of `indices`, the element there along an axis.",
               "The other axes broadcast. With `axis=None` both are flattened first.",
               "fn.array([[1, 2], [3, 4]]), fn.array([[1], [0]]), axis=1", "array([[2],\n       [3]], dtype=int32)")},
      nb::arg("indices"), nb::arg("axis").none() = -1);
  define_function(
      m, "put_along_axis",
      [](nb::handle x, nb::handle indices, nb::handle values, nb::handle axis) {
        return wrap_object(put_along(x, indices, values, axis));
      },
      {"indices: ArrayLike, values: ArrayLike, axis: int | None = None",
       example("put_along_axis", "Replace the elements that take_along_axis takes.", "",
               "fn.array([[1, 2], [3, 4]]), fn.array([[1], [0]]), fn.array(0), axis=1",
               "array([[1, 0],\n       [0, 4]], dtype=int32)")},
      nb::arg("indices"), nb::arg("values"), or_none("axis"));
}

}  // namespace funcnn
