#include "bindings/dtype.h"

#include <cstdio>
#include <limits>

#include <nanobind/stl/string.h>

#include "base/half.h"
#include "bindings/array.h"

namespace funcnn {
namespace {

// What Python holds, one object for each dtype, and one more for those of mutable arrays, which print as MLX's.
struct DtypeObject {
  Dtype dtype;
  bool of_mutable = false;
};

PyObject* objects[2][kDtypeCount];  // kept alive by the module
PyTypeObject* dtype_type = nullptr;

std::optional<Dtype> dtype_named(std::string_view name) {
  for (int i = 0; i < kDtypeCount; ++i)
    if (dtype_name(Dtype(i)) == name) return Dtype(i);
  if (name == "bool_") return Dtype::bool_;
  return std::nullopt;
}

// The name that a NumPy dtype or scalar type has for itself; empty for other objects.
std::string foreign_name(nb::handle object) {
  bool type = PyType_Check(object.ptr());
  // Scalar types of NumPy have `itemsize`, those of JAX `dtype`.
  if (!nb::hasattr(object, "itemsize") && !(type && nb::hasattr(object, "dtype"))) return {};
  nb::object name = nb::getattr(object, type ? "__name__" : "name", nb::none());
  return nb::isinstance<nb::str>(name) ? nb::borrow<nb::str>(name).c_str() : std::string();
}

// The dtype that `object` is: funcnn's own, a name, NumPy's, or the type of Python's numbers.
std::optional<Dtype> find_dtype(nb::handle object) {
  PyObject* o = object.ptr();
  if (Py_TYPE(o) == dtype_type) return nb::inst_ptr<DtypeObject>(object)->dtype;
  if (o == reinterpret_cast<PyObject*>(&PyFloat_Type)) return Dtype::float32;
  if (o == reinterpret_cast<PyObject*>(&PyLong_Type)) return Dtype::int32;
  if (o == reinterpret_cast<PyObject*>(&PyBool_Type)) return Dtype::bool_;
  if (o == reinterpret_cast<PyObject*>(&PyComplex_Type)) return Dtype::complex64;
  if (PyUnicode_Check(o)) return dtype_named(nb::borrow<nb::str>(object).c_str());
  std::string name = foreign_name(object);
  if (name.empty()) return std::nullopt;
  if (auto found = dtype_named(name)) return found;
  if (!PyType_Check(o)) return std::nullopt;
  // Scalar types with more than one name, such as numpy.longlong.
  nb::object numpy = nb::module_::import_("numpy");
  if (!PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(o),
                        reinterpret_cast<PyTypeObject*>(nb::object(numpy.attr("generic")).ptr())))
    return std::nullopt;
  return dtype_named(foreign_name(numpy.attr("dtype")(object)));
}

std::string public_name(Dtype dtype) { return dtype == Dtype::bool_ ? "bool_" : std::string(dtype_name(dtype)); }

// finfo and iinfo: the limits of a dtype.
struct FloatInfo {
  Dtype dtype;
  double min, max, eps, smallest_normal;
  int bits;
};
struct IntegerInfo {
  Dtype dtype;
  int64_t min;
  uint64_t max;
  int bits;
};

FloatInfo float_info(Dtype dtype) {
  switch (dtype) {
    case Dtype::float16:
      return {dtype, -65504.0, 65504.0, 0x1p-10, 0x1p-14, 16};
    case Dtype::bfloat16:
      return {dtype, -0x1.fep127, 0x1.fep127, 0x1p-7, 0x1p-126, 16};
    case Dtype::float64: {
      using L = std::numeric_limits<double>;
      return {dtype, L::lowest(), L::max(), L::epsilon(), L::min(), 64};
    }
    case Dtype::float32:
    case Dtype::complex64: {
      using L = std::numeric_limits<float>;
      return {Dtype::float32, L::lowest(), L::max(), L::epsilon(), L::min(), 32};
    }
    default:
      throw ValueError(cat("finfo: ", dtype, " is not a floating-point dtype; use iinfo"));
  }
}

IntegerInfo integer_info(Dtype dtype) {
  if (!is_integer(dtype)) throw ValueError(cat("iinfo: ", dtype, " is not an integer dtype; use finfo"));
  int bits = int(item_size(dtype)) * 8;
  if (is_unsigned(dtype)) return {dtype, 0, ~uint64_t(0) >> (64 - bits), bits};
  int64_t max = int64_t(~uint64_t(0) >> (65 - bits));
  return {dtype, -max - 1, uint64_t(max), bits};
}

nb::tuple reduced(nb::handle info) { return nb::make_tuple(info.type(), nb::make_tuple(info.attr("dtype"))); }

bool is_dtype_kind(Dtype dtype, nb::handle kind) {
  if (nb::isinstance<nb::tuple>(kind)) {
    for (nb::handle one : nb::borrow<nb::tuple>(kind))
      if (is_dtype_kind(dtype, one)) return true;
    return false;
  }
  if (!nb::isinstance<nb::str>(kind)) return dtype == dtype_of(kind);
  std::string_view name = nb::borrow<nb::str>(kind).c_str();
  if (auto named = dtype_named(name)) return dtype == *named;
  if (name == "bool") return dtype == Dtype::bool_;
  if (name == "signed integer") return is_signed(dtype);
  if (name == "unsigned integer") return is_unsigned(dtype);
  if (name == "integral") return is_integer(dtype);
  if (name == "real floating") return is_float(dtype);
  if (name == "complex floating") return is_complex(dtype);
  if (name == "numeric") return dtype != Dtype::bool_;
  throw ValueError(cat("isdtype: unknown kind '", name,
                       "'; expected 'bool', 'signed integer', 'unsigned integer', 'integral', 'real floating', "
                       "'complex floating' or 'numeric'"));
}

// The dtype of an argument of result_type: an array's, or a dtype itself.
Dtype dtype_of_argument(nb::handle object) {
  return is_array(object.ptr()) ? array_of(object.ptr()).dtype() : dtype_of(object);
}

PyObject* compare_dtypes(PyObject* self, PyObject* other, int comparison) {
  return guarded([&] {
    if (comparison != Py_EQ && comparison != Py_NE) return nb::handle(Py_NotImplemented).inc_ref().ptr();
    bool equal = self == other;
    if (!equal && Py_TYPE(other) == dtype_type) {
      equal = nb::inst_ptr<DtypeObject>(nb::handle(self))->dtype == nb::inst_ptr<DtypeObject>(nb::handle(other))->dtype;
    } else if (!equal) {
      std::optional<Dtype> found = find_dtype(other);
      // Another byte order is another dtype.
      bool native = !found || PyUnicode_Check(other) || PyType_Check(other) ||
                    nb::cast<bool>(nb::getattr(other, "isnative", nb::bool_(true)));
      equal = found && native && *found == nb::inst_ptr<DtypeObject>(nb::handle(self))->dtype;
    }
    return PyBool_FromLong(equal == (comparison == Py_EQ));
  });
}

nb::object numpy_dtype(const DtypeObject& d) {
  if (d.dtype == Dtype::bfloat16) throw TypeError("NumPy has no bfloat16; convert with astype(fn.float32)");
  return nb::module_::import_("numpy").attr("dtype")(nb::str(std::string(dtype_name(d.dtype)).c_str()));
}

Py_hash_t hash_dtype(PyObject* self) { return Py_hash_t(nb::inst_ptr<DtypeObject>(nb::handle(self))->dtype) + 1; }

PyType_Slot dtype_slots[] = {{Py_tp_richcompare, reinterpret_cast<void*>(compare_dtypes)},
                             {Py_tp_hash, reinterpret_cast<void*>(hash_dtype)},
                             {0, nullptr}};

}  // namespace

PyObject* dtype_object(Dtype dtype, bool of_mutable) { return objects[of_mutable][size_t(dtype)]; }

nb::handle dtype_class() { return reinterpret_cast<PyObject*>(dtype_type); }

Dtype dtype_of(nb::handle object) {
  if (auto found = find_dtype(object)) return *found;
  // The one dtype that we narrow: what NumPy makes of Python's complex numbers.
  if (!PyUnicode_Check(object.ptr()) && foreign_name(object) == "complex128") return Dtype::complex64;
  throw TypeError(cat("expected a dtype such as funcnn.float32, its name \"float32\" or numpy.float32, got ",
                      nb::repr(object).c_str()));
}

std::optional<Dtype> optional_dtype(nb::handle object) {
  if (object.is_none()) return std::nullopt;
  return dtype_of(object);
}

void bind_dtype(nb::module_& m) {
  nb::class_<DtypeObject> type(m, "Dtype", nb::is_final(), nb::type_slots(dtype_slots),
                               R"(The type of an array's elements, such as `funcnn.float32`.

Where a dtype is expected, its name and NumPy's dtypes and scalar types also do, and a dtype is equal to
these. Their hashes differ, as they do in NumPy: keys of a dict should be of one kind.

Example:
    >>> fn.zeros(2, dtype="float16").dtype == fn.float16
    True
)");
  type.def_prop_ro(
          "name", [](const DtypeObject& d) { return nb::str(dtype_name(d.dtype).data(), dtype_name(d.dtype).size()); },
          nb::sig("def name(self) -> str"), "The name, such as 'float32'.")
      .def_prop_ro(
          "itemsize", [](const DtypeObject& d) { return item_size(d.dtype); }, "Bytes an element takes.")
      .def_prop_ro(
          "size", [](const DtypeObject& d) { return item_size(d.dtype); }, "Bytes an element takes; MLX's name.")
      .def_prop_ro("__numpy_dtype__", &numpy_dtype, nb::sig("def __numpy_dtype__(self) -> numpy.dtype[Any]"),
                   "The same dtype in NumPy.")
      .def_prop_ro("dtype", &numpy_dtype, nb::sig("def dtype(self) -> numpy.dtype[Any]"),
                   "The same dtype in NumPy, where `numpy.dtype` before NumPy 2.4 looks for it.")
      .def(
          "__repr__",
          [](const DtypeObject& d) {
            return nb::str(cat(d.of_mutable ? "mlx.core." : "", dtype_name(d.dtype)).c_str());
          },
          nb::sig("def __repr__(self) -> str"))
      .def(
          "__reduce__",
          [](const DtypeObject& d) -> nb::object {
            if (!d.of_mutable) return nb::str(public_name(d.dtype).c_str());
            nb::object like = nb::module_::import_("funcnn._core").attr("_mutable_dtype");
            return nb::make_tuple(like, nb::make_tuple(nb::handle(dtype_object(d.dtype))));
          },
          nb::sig("def __reduce__(self) -> Any"));
  dtype_type = reinterpret_cast<PyTypeObject*>(type.ptr());
  for (int i = 0; i < kDtypeCount; ++i) {
    nb::object made = nb::cast(DtypeObject{Dtype(i)});
    objects[0][i] = made.ptr();
    m.attr(public_name(Dtype(i)).c_str()) = made;
    objects[1][i] = nb::cast(DtypeObject{Dtype(i), true}).release().ptr();
  }
  m.def(
      "_mutable_dtype", [](nb::handle dtype) { return nb::handle(dtype_object(dtype_of(dtype), true)); },
      nb::arg("dtype"), nb::sig("def _mutable_dtype(dtype: Dtype) -> Dtype"),
      "The dtype as mutable arrays have it: equal, but printed as MLX's.");

  m.def("promote_types", &promote_types, nb::arg("a"), nb::arg("b"),
        nb::sig("def promote_types(a: Dtype, b: Dtype) -> Dtype"),
        R"(Find the dtype of an operation on two arrays.

The table is MLX's: floats win over integers, float16 with bfloat16 gives float32,
uint64 with a signed integer gives float32.

Example:
    >>> fn.promote_types(fn.int32, fn.float16)
    float16
)");
  m.def(
      "result_type",
      [](nb::args arguments) {
        if (arguments.size() == 0) throw ValueError("result_type: expected at least one array or dtype");
        std::optional<Dtype> dtype;
        auto see = [&](Dtype found) { dtype = dtype ? promote_types(*dtype, found) : found; };
        Array number;
        for (nb::handle argument : arguments)
          if (!convert_scalar(argument.ptr(), {}, number)) see(dtype_of_argument(argument));
        // Numbers are weak: they take the dtype of what stands beside them.
        for (nb::handle argument : arguments)
          if (convert_scalar(argument.ptr(), dtype, number)) see(number.dtype());
        return *dtype;
      },
      nb::sig("def result_type(*arrays_and_dtypes: array | Dtype | complex) -> Dtype"),
      R"(Find the dtype that arrays, dtypes and Python numbers promote to together.

Example:
    >>> fn.result_type(fn.array([1, 2]), fn.float16)
    float16
)");
  m.def(
      "can_cast",
      [](nb::handle from, nb::handle to) {
        Dtype target = dtype_of(to);
        return promote_types(dtype_of_argument(from), target) == target;
      },
      nb::arg("from_"), nb::arg("to"), nb::sig("def can_cast(from_: Dtype | array, to: Dtype, /) -> bool"),
      R"(Tell whether a dtype, or that of an array, promotes to another: whether both together give the other.

Example:
    >>> fn.can_cast(fn.int32, fn.float16), fn.can_cast(fn.float32, fn.int64)
    (True, False)
)");
  m.def("isdtype", &is_dtype_kind, nb::arg("dtype"), nb::arg("kind"),
        nb::sig("def isdtype(dtype: Dtype, kind: Dtype | str | tuple[Dtype | str, ...]) -> bool"),
        R"(Tell whether a dtype is of a kind.

Kinds are dtypes, 'bool', 'signed integer', 'unsigned integer', 'integral', 'real floating',
'complex floating', 'numeric', and tuples of these.

Example:
    >>> fn.isdtype(fn.int8, "integral")
    True
)");

  nb::class_<FloatInfo>(m, "finfo", "The limits of a floating-point dtype, or of that of an array.")
      .def(
          "__init__",
          [](FloatInfo* self, nb::handle dtype) { new (self) FloatInfo(float_info(dtype_of_argument(dtype))); },
          nb::arg("dtype"), nb::sig("def __init__(self, dtype: Dtype | array) -> None"))
      .def_ro("dtype", &FloatInfo::dtype, "The dtype described.")
      .def_ro("min", &FloatInfo::min, "The most negative finite number.")
      .def_ro("max", &FloatInfo::max, "The largest finite number.")
      .def_ro("eps", &FloatInfo::eps, "The distance from 1 to the next number.")
      .def_ro("smallest_normal", &FloatInfo::smallest_normal, "The smallest positive number of full precision.")
      .def_ro("bits", &FloatInfo::bits, "Bits a number takes.")
      .def("__reduce__", &reduced)
      .def("__repr__", [](const FloatInfo& info) {
        char text[96];
        std::snprintf(text, sizeof text, "finfo(min=%g, max=%g, dtype=", info.min, info.max);
        return cat(text, info.dtype, ")");
      });
  nb::class_<IntegerInfo>(m, "iinfo", "The limits of an integer dtype, or of that of an array.")
      .def(
          "__init__",
          [](IntegerInfo* self, nb::handle dtype) { new (self) IntegerInfo(integer_info(dtype_of_argument(dtype))); },
          nb::arg("dtype"), nb::sig("def __init__(self, dtype: Dtype | array) -> None"))
      .def_ro("dtype", &IntegerInfo::dtype, "The dtype described.")
      .def_ro("min", &IntegerInfo::min, "The smallest number.")
      .def_ro("max", &IntegerInfo::max, "The largest number.")
      .def_ro("bits", &IntegerInfo::bits, "Bits a number takes.")
      .def("__reduce__", &reduced)
      .def("__repr__", [](const IntegerInfo& info) {
        return cat("iinfo(min=", info.min, ", max=", info.max, ", dtype=", info.dtype, ")");
      });
}

}  // namespace funcnn
