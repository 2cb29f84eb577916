// Arrays from nothing but numbers.
#include <nanobind/stl/string.h>

#include <cmath>

#include "bindings/define.h"
#include "bindings/device.h"
#include "ops/create.h"
#include "ops/elementwise.h"
#include "ops/views.h"

namespace funcnn {
namespace {

double number_of(nb::handle object, const char* name) {
  double value = PyFloat_AsDouble(object.ptr());
  if (value == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    throw TypeError(cat(name, ": expected a number, got ", nb::repr(object).c_str()));
  }
  return value;
}

// A whole number that an integer dtype holds, for which numbers of Python and NumPy qualify; None is `otherwise`.
std::optional<Integer> whole_of(nb::handle object, int64_t otherwise) {
  if (object.is_none()) return otherwise;
  if (PyFloat_Check(object.ptr()) || !PyIndex_Check(object.ptr())) return std::nullopt;
  nb::object number = nb::steal(PyNumber_Index(object.ptr()));
  if (!number.is_valid()) throw PendingError();
  int overflow = 0;
  int64_t value = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
  if (!overflow) return value;
  if (overflow < 0) return std::nullopt;
  uint64_t natural = PyLong_AsUnsignedLongLong(number.ptr());
  if (!PyErr_Occurred()) return Integer::natural(natural);
  PyErr_Clear();
  return std::nullopt;
}

// int32, or int64 where the elements need it, as in array().
Dtype arange_dtype(Integer start, Integer stop, bool up) {
  constexpr int64_t limit = int64_t(1) << 31;
  if (!(start < -limit) && start < limit && (up ? !(Integer(limit) < stop) : !(stop < -limit - 1))) return Dtype::int32;
  constexpr Integer end = Integer::natural(uint64_t(1) << 63);
  if (!(start < end) || (up && end < stop))
    throw ValueError("arange: the elements do not fit int64; choose dtype=fn.uint64");
  return Dtype::int64;
}

Array arange_of(nb::handle first, nb::handle second, nb::handle third, std::optional<Dtype> dtype) {
  nb::handle from = second.is_none() ? nb::handle(Py_None) : first, to = second.is_none() ? first : second;
  std::optional<Integer> start = whole_of(from, 0), stop = whole_of(to, 0), step = whole_of(third, 1);
  if (start && stop && step && !to.is_none())
    return arange(*start, *stop, *step, dtype ? *dtype : arange_dtype(*start, *stop, !step->negative));
  auto number = [](nb::handle object, double otherwise) {
    return object.is_none() ? otherwise : number_of(object, "arange");
  };
  return arange(number(from, 0), number_of(to, "arange"), number(third, 1), dtype.value_or(Dtype::float32));
}

Array full_of(nb::handle shape, nb::handle value, std::optional<Dtype> dtype, const char* name) {
  Array fill = convert(value, dtype, name);
  Shape to = shape_of(shape, name);
  return fill.ndim() == 0 ? full(to, fill) : broadcast_to(fill, to);
}

Array linspace_of(nb::handle start, nb::handle stop, int64_t count, bool endpoint, std::optional<Dtype> wanted) {
  if (start.is_none() || stop.is_none()) throw TypeError("linspace: expected numbers for start and stop");
  bool complex = PyComplex_Check(start.ptr()) || PyComplex_Check(stop.ptr()) || (wanted && is_complex(*wanted));
  Dtype dtype = wanted.value_or(complex ? Dtype::complex64 : Dtype::float32);
  if (complex) {
    if (!is_complex(dtype)) throw TypeError(cat("linspace: complex numbers do not convert to ", dtype));
    auto part = [&](double (*of)(PyObject*)) {
      double from = of(start.ptr()), to = of(stop.ptr());
      if (PyErr_Occurred()) throw PendingError();
      return linspace(from, to, count, endpoint, Dtype::float32);
    };
    const Array parts[] = {part(PyComplex_RealAsDouble), part(PyComplex_ImagAsDouble)};
    return elementwise(Opcode::make_complex, parts, Dtype::complex64);
  }
  std::optional<Integer> from = whole_of(start, 0), to = whole_of(stop, 0);
  if (from && to) return linspace(*from, *to, count, endpoint, dtype);
  return linspace(number_of(start, "linspace"), number_of(stop, "linspace"), count, endpoint, dtype);
}

std::string full_like_parameters(const char* value_name) {
  return cat(value_name, ": ArrayLike, dtype: Dtype | None = None, *, device: Device | str | None = None");
}

}  // namespace

void bind_create(nb::module_& m) {
  m.def(
      "arange",
      [](nb::handle start, nb::handle stop, nb::handle step, nb::handle dtype, nb::handle device) {
        return wrap_object(placed(arange_of(start, stop, step, optional_dtype(dtype)), device, "arange"));
      },
      nb::arg("start"), or_none("stop"), nb::arg("step").none() = 1, or_none("dtype"), nb::kw_only(), or_none("device"),
      nb::sig(
          "def arange(start: float, stop: float | None = None, step: float | None = 1, dtype: Dtype | None = None, *, "
          "device: Device | str | None = None) -> array"),
      example("arange", "Count from start (default 0) in steps (default 1), up to but not including stop.",
              "The dtype is int32 if all arguments are integers (int64 where they need it), else float32.", "3",
              "array([0, 1, 2], dtype=int32)")
          .c_str());
  m.def(
      "linspace",
      [](nb::handle start, nb::handle stop, int64_t num, bool endpoint, nb::handle dtype, nb::handle device) {
        return wrap_object(placed(linspace_of(start, stop, num, endpoint, optional_dtype(dtype)), device, "linspace"));
      },
      nb::arg("start"), nb::arg("stop"), nb::arg("num") = 50, nb::arg("endpoint") = true, or_none("dtype"),
      nb::kw_only(), or_none("device"),
      nb::sig("def linspace(start: complex, stop: complex, num: int = 50, endpoint: bool = True, dtype: Dtype | None = "
              "None, *, device: Device | str | None = None) -> array"),
      example(
          "linspace", "Space numbers evenly from start to stop, which is included unless `endpoint` is False.",
          "The dtype is float32 by default, complex64 between complex numbers. Integer dtypes take the floor, exactly "
          "where both ends are integers.",
          "0, 1, 3", "array([0. , 0.5, 1. ], dtype=float32)")
          .c_str());
  // The value under the array API standard's name and MLX's.
  for (const char* value_name : {"fill_value", "vals"})
    m.def(
        "full",
        [](nb::handle shape, nb::handle value, nb::handle dtype, nb::handle device) {
          return wrap_object(placed(full_of(shape, value, optional_dtype(dtype), "full"), device, "full"));
        },
        nb::arg("shape"), nb::arg(value_name), or_none("dtype"), nb::kw_only(), or_none("device"),
        nb::sig(cat("def full(shape: int | Sequence[int], ", value_name,
                    ": ArrayLike, dtype: Dtype | None = None, *, "
                    "device: Device | str | None = None) -> array")
                    .c_str()),
        example("full", "Make an array that holds the same value everywhere.",
                "The value may be an array that broadcasts.", "2, 7", "array([7, 7], dtype=int32)")
            .c_str());
  struct Constant {
    const char* name;
    int value;
    const char* summary;
    const char* result;
  };
  for (const Constant& row : {Constant{"zeros", 0, "Make an array of zeros.", "array([0., 0.], dtype=float32)"},
                              Constant{"ones", 1, "Make an array of ones.", "array([1., 1.], dtype=float32)"}}) {
    m.def(
        row.name,
        [row](nb::handle shape, nb::handle dtype, nb::handle device) {
          if (PyLong_Check(dtype.ptr()))
            throw TypeError(cat(row.name, ": the shape is one argument, as in ", row.name, "((2, 3)); got ",
                                nb::repr(shape).c_str(), " and ", nb::repr(dtype).c_str()));
          Array made =
              full(shape_of(shape, row.name), constant(row.value, optional_dtype(dtype).value_or(Dtype::float32)));
          return wrap_object(placed(std::move(made), device, row.name));
        },
        nb::arg("shape"), or_none("dtype"), nb::kw_only(), or_none("device"),
        nb::sig(cat("def ", row.name,
                    "(shape: int | Sequence[int], dtype: Dtype | None = None, *, device: Device | str "
                    "| None = None) -> array")
                    .c_str()),
        example(row.name, row.summary, "The default dtype is float32.", "2", row.result).c_str());
    std::string like = cat(row.name, "_like");
    define_function(
        m, like.c_str(),
        [row](nb::handle x, nb::handle dtype, nb::handle device) {
          Array a = as_array(x, row.name);
          Array made = full(a.shape(), constant(row.value, optional_dtype(dtype).value_or(a.dtype())));
          return wrap_object(device.is_none() ? made : placed(std::move(made), device, row.name));
        },
        {"dtype: Dtype | None = None, *, device: Device | str | None = None",
         example(like.c_str(), cat(row.summary, " Shape and dtype are those of x."), "", "fn.array([5])",
                 row.value ? "array([1], dtype=int32)" : "array([0], dtype=int32)")},
        or_none("dtype"), nb::kw_only(), or_none("device"));
  }
  for (const char* value_name : {"fill_value", "vals"})
    define_function(
        m, "full_like",
        [](nb::handle x, nb::handle value, nb::handle dtype, nb::handle device) {
          Array a = as_array(x, "full_like");
          Array fill = convert(value, optional_dtype(dtype).value_or(a.dtype()), "full_like");
          Array made = fill.ndim() == 0 ? full(a.shape(), fill) : broadcast_to(fill, a.shape());
          return wrap_object(device.is_none() ? made : placed(std::move(made), device, "full_like"));
        },
        {full_like_parameters(value_name).c_str(),
         example("full_like", "Make an array of the shape and dtype of x that holds one value.", "",
                 "fn.array([1, 2]), 7", "array([7, 7], dtype=int32)")},
        nb::arg(value_name), or_none("dtype"), nb::kw_only(), or_none("device"));
  m.def(
      "eye",
      [](int64_t n, nb::handle columns, int64_t k, nb::handle dtype, nb::handle device) {
        Array made =
            eye(n, optional_integer(columns, "eye").value_or(n), k, optional_dtype(dtype).value_or(Dtype::float32));
        return wrap_object(placed(std::move(made), device, "eye"));
      },
      nb::arg("n"), or_none("m"), nb::arg("k") = 0, or_none("dtype"), nb::kw_only(), or_none("device"),
      nb::sig("def eye(n: int, m: int | None = None, k: int = 0, dtype: Dtype | None = None, *, device: Device | str | "
              "None = None) -> array"),
      example("eye", "Make an n by m matrix with ones on diagonal k.", "", "2",
              "array([[1., 0.],\n       [0., 1.]], dtype=float32)")
          .c_str());
  m.def(
      "identity",
      [](int64_t n, nb::handle dtype) {
        return wrap_object(eye(n, n, 0, optional_dtype(dtype).value_or(Dtype::float32)));
      },
      nb::arg("n"), or_none("dtype"), nb::sig("def identity(n: int, dtype: Dtype | None = None) -> array"),
      example("identity", "Make the identity matrix.", "", "2", "array([[1., 0.],\n       [0., 1.]], dtype=float32)")
          .c_str());
  m.def(
      "tri",
      [](int64_t n, nb::handle columns, int64_t k, nb::handle dtype) {
        return wrap_object(
            tri(n, optional_integer(columns, "tri").value_or(n), k, optional_dtype(dtype).value_or(Dtype::float32)));
      },
      nb::arg("n"), or_none("m"), nb::arg("k") = 0, or_none("dtype"),
      nb::sig("def tri(n: int, m: int | None = None, k: int = 0, dtype: Dtype | None = None) -> array"),
      example("tri", "Make an n by m matrix with ones on and below diagonal k.", "", "2",
              "array([[1., 0.],\n       [1., 1.]], dtype=float32)")
          .c_str());
  define_function(
      m, "tril", [](nb::handle x, int64_t k) { return wrap_object(tril(as_array(x, "tril"), k)); },
      {"k: int = 0", example("tril", "Set the elements above diagonal k to zero.", "", "fn.array([[1, 2], [3, 4]])",
                             "array([[1, 0],\n       [3, 4]], dtype=int32)")},
      nb::arg("k") = 0);
  define_function(
      m, "triu", [](nb::handle x, int64_t k) { return wrap_object(triu(as_array(x, "triu"), k)); },
      {"k: int = 0", example("triu", "Set the elements below diagonal k to zero.", "", "fn.array([[1, 2], [3, 4]])",
                             "array([[1, 2],\n       [0, 4]], dtype=int32)")},
      nb::arg("k") = 0);
  define_both(
      m, "diag", [](nb::handle x, int64_t k) { return wrap_object(diag(as_array(x, "diag"), k)); },
      {"k: int = 0", example("diag", "Make the matrix with x on diagonal k; of a matrix, take that diagonal.", "",
                             "fn.array([[1, 2], [3, 4]])", "array([1, 4], dtype=int32)")},
      nb::arg("k") = 0);
  define_both(
      m, "diagonal",
      [](nb::handle x, int64_t offset, int64_t axis1, int64_t axis2) {
        return wrap_object(diagonal(as_array(x, "diagonal"), offset, axis1, axis2));
      },
      {"offset: int = 0, axis1: int = 0, axis2: int = 1",
       example("diagonal", "Take the diagonal of two axes, as a new last axis.", "", "fn.array([[1, 2], [3, 4]])",
               "array([1, 4], dtype=int32)")},
      nb::arg("offset") = 0, nb::arg("axis1") = 0, nb::arg("axis2") = 1);
  define_both(
      m, "trace",
      [](nb::handle x, int64_t offset, int64_t axis1, int64_t axis2, nb::handle dtype) {
        Array a = as_array(x, "trace");
        auto to = optional_dtype(dtype);
        if (to) a = astype(a, *to);
        Array total = trace(a, offset, axis1, axis2);
        return wrap_object(to ? astype(total, *to) : total);
      },
      {"offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Dtype | None = None",
       example("trace", "Add up the diagonal of two axes.", "", "fn.array([[1, 2], [3, 4]])", "array(5, dtype=int32)")},
      nb::arg("offset") = 0, nb::arg("axis1") = 0, nb::arg("axis2") = 1, or_none("dtype"));
  m.def(
      "meshgrid",
      [](nb::args arrays, bool sparse, const std::string& indexing) {
        Arrays given;
        for (nb::handle a : arrays) given.push_back(as_array(a, "meshgrid"));
        return tuple_of(meshgrid(given, sparse, indexing));
      },
      nb::arg("arrays"), nb::kw_only(), nb::arg("sparse") = false, nb::arg("indexing") = "xy",
      nb::sig("def meshgrid(*arrays: ArrayLike, sparse: bool = False, indexing: Literal['xy', 'ij'] = 'xy') -> "
              "tuple[array, "
              "...]"),
      example("meshgrid", "Make coordinate arrays of the grid that vectors span.",
              "With `sparse` the results keep length 1 where they do not vary.",
              "fn.array([1, 2]), fn.array([3]), indexing=\"ij\"",
              "(array([[1],\n       [2]], dtype=int32), array([[3],\n       [3]], dtype=int32))")
          .c_str());
}

}  // namespace funcnn
