// Python numbers and nested lists as arrays.
#include <limits>

#include "base/device_dtypes.h"
#include "base/half_from_double.h"
#include "base/to_integer.h"
#include "bindings/array.h"
#include "bindings/interchange.h"
#include "bindings/number_ranges.h"
#include "bindings/sequence.h"
#include "graph/trace.h"
#include "graph/transfer.h"
#include "ops/elementwise.h"
#include "ops/join.h"
#include "ops/views.h"

namespace funcnn {
namespace {

[[noreturn]] void throw_overflow(PyObject* o, Dtype dtype) {
  throw ValueError(cat("the integer ", nb::repr(o).c_str(), " does not fit ", dtype));
}

// A Python int as T, which stores `dtype`; refused if it does not fit.
template <class T>
T int_as(PyObject* o, Dtype dtype) {
  if constexpr (std::is_same_v<T, uint64_t>) {
    uint64_t value = PyLong_AsUnsignedLongLong(o);
    if (value == uint64_t(-1) && PyErr_Occurred()) {
      PyErr_Clear();
      throw_overflow(o, dtype);
    }
    return value;
  } else {
    int overflow = 0;
    int64_t value = PyLong_AsLongLongAndOverflow(o, &overflow);
    if (value == -1 && !overflow && PyErr_Occurred()) throw PendingError();
    if (overflow || value < int64_t(std::numeric_limits<T>::min()) || value > int64_t(std::numeric_limits<T>::max()))
      throw_overflow(o, dtype);
    return T(value);
  }
}

// The dtype a Python int has by itself.
Dtype int_dtype(PyObject* o) {
  int overflow = 0;
  int64_t value = PyLong_AsLongLongAndOverflow(o, &overflow);
  return overflow == 0 && value == int32_t(value) ? Dtype::int32 : Dtype::int64;
}

// The same where it may stay a number: uint64 holds more than arrays of Python's are made of by themselves.
Dtype number_dtype(PyObject* o, std::optional<Dtype> like) {
  int overflow = 0;
  PyLong_AsLongLongAndOverflow(o, &overflow);
  return overflow > 0 && !like ? Dtype::uint64 : int_dtype(o);
}

Array convert_int(PyObject* o, Dtype dtype) {
  if (dtype == Dtype::int32) return constant(int64_t(int_as<int32_t>(o, dtype)), dtype);
  if (is_integer(dtype))
    return visit_dtype(dtype, [&](auto tag) -> Array {
      using T = typename decltype(tag)::type;
      if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
        T value = int_as<T>(o, dtype);
        return scalar_array(&value, dtype);
      }
      return {};
    });
  if (dtype == Dtype::bool_) return constant(int64_t(PyObject_IsTrue(o)), dtype);
  double value = PyLong_AsDouble(o);
  if (value == -1 && PyErr_Occurred()) throw PendingError();
  return constant(value, dtype);
}

Array convert_float(PyObject* o, std::optional<Dtype> like) {
  return constant(PyFloat_AsDouble(o), like && is_inexact(*like) ? *like : Dtype::float32);
}

Array convert_complex(PyObject* o) {
  return constant(complex64_t(float(PyComplex_RealAsDouble(o)), float(PyComplex_ImagAsDouble(o))), Dtype::complex64);
}

// The Python number of a NumPy scalar: beside an array it is as weak as one. Null for anything else.
nb::object numpy_scalar(PyObject* o) {
  static PyObject* generic = nullptr;
  if (!generic) {
    // Without NumPy imported there are no such scalars.
    nb::dict modules = nb::borrow<nb::dict>(nb::module_::import_("sys").attr("modules"));
    if (!modules.contains("numpy")) return {};
    generic = nb::object(modules["numpy"].attr("generic")).release().ptr();
  }
  if (PyObject_IsInstance(o, generic) != 1) return {};
  nb::object number = nb::borrow(o).attr("item")();
  return is_text(number.ptr()) || PyObject_IsInstance(number.ptr(), generic) ? nb::object() : number;
}

// ---- nested lists

// Lists, tuples and other sequences (range, deque); not text, not arrays.
bool is_nested(PyObject* o) {
  if (PyList_Check(o) || PyTuple_Check(o)) return true;
  return PySequence_Check(o) && !is_text(o) && !is_array(o) && !is_foreign(o) && !PyDict_Check(o);
}

// What is learnt from a first walk over nested lists.
struct Survey {
  Shape shape;
  std::optional<Dtype> dtype;
  bool arrays = false;  // a leaf is an array or speaks a protocol: stack instead of copying numbers

  void see(Dtype found) { dtype = dtype ? promote_types(*dtype, found) : found; }
};

[[noreturn]] void throw_ragged(size_t depth, const std::string& expected, const std::string& got) {
  throw ValueError(cat("array: nested lists are ragged at depth ", depth, ": expected ", expected, ", got ", got));
}

void survey(PyObject* o, size_t depth, Survey& s, bool first) {
  if (is_nested(o)) {
    if (depth > 64) throw ValueError("array: lists are nested more than 64 deep");
    Items items(o);
    if (first)
      s.shape.push_back(items.size());
    else if (depth >= s.shape.size())
      throw_ragged(depth, "a number", cat("a list of length ", items.size()));
    else if (s.shape[depth] != items.size())
      throw_ragged(depth, cat("length ", s.shape[depth]), cat("length ", items.size()));
    for (Py_ssize_t i = 0; i < items.size(); ++i) {
      survey(items[i], depth + 1, s, first && i == 0);
      if (s.arrays) return;
    }
    return;
  }
  if (PyFloat_Check(o)) {
    s.see(Dtype::float32);
  } else if (PyBool_Check(o)) {
    s.see(Dtype::bool_);
  } else if (PyLong_Check(o)) {
    s.see(int_dtype(o));
  } else if (PyComplex_Check(o)) {
    s.see(Dtype::complex64);
  } else if (is_array(o) || is_foreign(o)) {
    s.arrays = true;
    return;
  } else {
    throw TypeError(cat("array: cannot convert an element of type ", python_type(o)));
  }
  if (depth < s.shape.size()) throw_ragged(depth, cat("a list of length ", s.shape[depth]), "a number");
}

// Numbers of nested lists, written one after the other.
template <class T>
void fill(PyObject* o, size_t depth, size_t rank, Dtype dtype, T*& out) {
  if (depth < rank) {
    Items items(o);
    for (Py_ssize_t i = 0; i < items.size(); ++i) fill(items[i], depth + 1, rank, dtype, out);
    return;
  }
  if constexpr (std::is_same_v<T, complex64_t>) {
    *out++ = T(float(PyComplex_RealAsDouble(o)), float(PyComplex_ImagAsDouble(o)));
  } else if constexpr (std::is_same_v<T, bool>) {
    *out++ = PyObject_IsTrue(o) == 1;
  } else if constexpr (std::is_integral_v<T>) {
    *out++ = PyFloat_Check(o) ? to_integer<T>(PyFloat_AsDouble(o)) : int_as<T>(o, dtype);
  } else {
    double value = PyFloat_AsDouble(o);
    if constexpr (std::is_floating_point_v<T>)
      *out++ = T(value);
    else
      *out++ = to_half<T>(value);
  }
  if (PyErr_Occurred()) throw nb::python_error();
}

Array as_part(nb::handle object, std::optional<Dtype> dtype, const char* name);

// Lists with arrays in them: stack what each element gives.
Array stack_nested(PyObject* o, std::optional<Dtype> dtype, const char* name) {
  if (!is_nested(o)) return as_part(o, dtype, name);
  Items items(o);
  Arrays parts;
  for (Py_ssize_t i = 0; i < items.size(); ++i) parts.push_back(stack_nested(items[i], dtype, name));
  for (const Array& part : parts)
    if (part.shape() != parts[0].shape())
      throw ValueError(cat(name, ": cannot stack arrays of shapes ", parts[0].shape(), " and ", part.shape()));
  return stack(parts, 0);
}

Array convert_nested(PyObject* o, std::optional<Dtype> dtype, const char* name) {
  Survey s;
  survey(o, 0, s, true);
  if (s.arrays) return stack_nested(o, dtype, name);
  Dtype target = dtype.value_or(s.dtype.value_or(Dtype::float32));
  if (dtype && s.dtype == Dtype::complex64 && !is_complex(target))
    throw TypeError(cat(name, ": complex numbers do not convert to ", target));
  Array made = empty_array(s.shape, target);
  visit_dtype(target, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* out = fresh_elements<T>(made);
    fill(o, 0, s.shape.size(), target, out);
  });
  return made;
}

}  // namespace

bool convert_scalar(PyObject* o, std::optional<Dtype> like, Array& out) {
  if (PyFloat_Check(o))
    out = convert_float(o, like);
  else if (PyBool_Check(o))
    out = constant(int64_t(PyObject_IsTrue(o)), like.value_or(Dtype::bool_));
  else if (PyLong_Check(o))
    out = convert_int(o, like && *like != Dtype::bool_ ? *like : number_dtype(o, like));
  else if (PyComplex_Check(o))
    out = convert_complex(o);
  else if (nb::object number = numpy_scalar(o); number.is_valid())
    return convert_scalar(number.ptr(), like, out);
  else
    return false;
  return true;
}

namespace {

// No number from now on, of `dtype` if given.
Array as_strong(const Array& x, std::optional<Dtype> dtype) {
  if (!x.node()->weak) return dtype ? astype(x, *dtype) : x;
  check_number(x, dtype.value_or(x.dtype()));
  return with_weakness(dtype ? astype(*dtype == Dtype::float64 ? with_all_digits(x) : x, *dtype) : x, false);
}

}  // namespace

Array convert(nb::handle object, std::optional<Dtype> dtype, const char* name) {
  PyObject* o = object.ptr();
  if (is_array(o)) return as_strong(array_of(o), dtype);
  if (PyFloat_Check(o)) return constant(PyFloat_AsDouble(o), dtype.value_or(Dtype::float32));
  if (PyBool_Check(o)) return constant(int64_t(PyObject_IsTrue(o)), dtype.value_or(Dtype::bool_));
  if (PyLong_Check(o)) return convert_int(o, dtype.value_or(int_dtype(o)));
  if (PyComplex_Check(o)) {
    if (dtype && !is_complex(*dtype)) throw TypeError(cat(name, ": a complex number does not convert to ", *dtype));
    return convert_complex(o);
  }
  if (is_text(o)) throw TypeError(cat(name, ": cannot convert a ", python_type(object), " to an array"));
  if (PyList_Check(o) || PyTuple_Check(o)) return convert_nested(o, dtype, name);
  if (std::optional<Array> copied = copy_foreign(object, dtype)) return *copied;
  if (is_nested(o)) return convert_nested(o, dtype, name);
  const bool iterable =
      !PyType_Check(o) && !PyDict_Check(o) && nb::hasattr(object, "__iter__") && !nb::hasattr(object, "shape");
  throw TypeError(cat(name, ": cannot convert a ", python_type(object), " to an array",
                      iterable ? "; make a list of it first" : ""));
}

Array on_default_device(Array made) {
  Device device = default_device();
  if (device == kCpu) return made;
  check_device_dtype("array", device, made.dtype());
  return made.node()->is_scalar() ? made : device_put(made, device);
}

namespace {

// An operand that is no array goes along with those that are.
Array as_follower(nb::handle object, std::optional<Dtype> dtype, const char* name) {
  Array made = convert(object, dtype, name);
  if (made.node()->available()) made.node()->device = {};
  return made;
}

Array as_part(nb::handle object, std::optional<Dtype> dtype, const char* name) {
  return is_array(object.ptr()) ? as_strong(array_of(object.ptr()), dtype) : as_follower(object, dtype, name);
}

}  // namespace

Array as_array(nb::handle object, const char* name) { return as_part(object, std::nullopt, name); }

Dtype weak_dtype(Dtype own, Dtype like) {
  if (is_complex(own)) return own;
  if (is_float(own)) return is_inexact(like) ? like : own;
  return own == Dtype::bool_ || like != Dtype::bool_ ? like : own;
}

Array as_number(const Array& x) {
  bool wide = x.node()->weak && x.dtype() == Dtype::float64;
  return wide ? with_weakness(astype(x, Dtype::float32), true) : x;
}

Array with_all_digits(const Array& x) {
  const Node& node = *x.node();
  // Values that depend on placeholders keep their inputs.
  if (!node.abstract || !node.weak || node.dtype != Dtype::float32 || node.inputs.size() != 1) return x;
  Array from(node.inputs[0]);
  return from.node()->weak && from.dtype() == Dtype::float64 ? from : x;
}

Array beside(const Array& x, Dtype like) {
  if (!x.node()->weak) return x;
  Dtype dtype = weak_dtype(x.dtype(), like);
  check_number(x, dtype);
  return with_weakness(astype(dtype == Dtype::float64 ? with_all_digits(x) : x, dtype), false);
}

bool is_number(PyObject* o) { return PyFloat_Check(o) || PyLong_Check(o) || PyComplex_Check(o); }

Array beside_array(nb::handle object, const Array& x, const char* name) {
  PyObject* o = object.ptr();
  // What other libraries hold takes the dtype of MLX's arrays, as Python's numbers do.
  if (x.node()->rebindable && !is_array(o) && !is_number(o) && !PyList_Check(o) && !PyTuple_Check(o) && !is_text(o) &&
      is_foreign(o) && !nb::hasattr(object, "__mlx_array__"))
    return as_follower(object, x.dtype(), name);
  return as_operand(object, x.dtype(), name);
}

Array as_operand(nb::handle object, Dtype like, const char* name) {
  if (is_array(object.ptr())) return beside(array_of(object.ptr()), like);
  Array made;
  if (convert_scalar(object.ptr(), like, made)) return made;
  made = as_follower(object, std::nullopt, name);
  // What became float32 by default need not lose digits here.
  return like == Dtype::float64 && made.dtype() == Dtype::float32 ? as_follower(object, like, name) : made;
}

std::pair<Array, Array> as_operands(nb::handle a, nb::handle b, const char* name) {
  if (is_array(a.ptr()) && is_array(b.ptr())) {
    const Array &x = array_of(a.ptr()), &y = array_of(b.ptr());
    if (x.node()->weak == y.node()->weak) return {x, y};
    return {beside(x, y.dtype()), beside(y, x.dtype())};
  }
  if (is_array(a.ptr())) {
    const Array& x = array_of(a.ptr());
    return {x, beside_array(b, x, name)};
  }
  if (is_array(b.ptr())) {
    const Array& y = array_of(b.ptr());
    return {beside_array(a, y, name), y};
  }
  return {as_array(a, name), as_array(b, name)};
}

}  // namespace funcnn
