// The class of arrays that may be pointed at other values: what funcnn.compat calls an array. Which class an array has
// is a bit of its node, so that every function gives a mutable array as soon as one of its arguments is mutable.
#include "bindings/mutable.h"

#include <nanobind/stl/string.h>

#include "bindings/interchange.h"
#include "bindings/sequence.h"
#include "graph/trace.h"
#include "ops/elementwise.h"

namespace funcnn {
namespace {

// The array that MLX makes of `object`: integers that do not fit the dtype wrap around, and what holds no numbers is a
// ValueError.
Array made_of(nb::handle object, nb::handle dtype_object) {
  PyObject* o = object.ptr();
  if (dtype_object.is_none() && is_number(o)) return convert(object, std::nullopt, "array");
  if (o == Py_None) throw TypeError("array: expected a number, nested lists or an array, got None");
  if (!dtype_object.is_none() && dtype_object.type().ptr() != dtype_class().ptr())
    throw TypeError(cat("array: dtype must be a dtype such as mx.float32, got ", nb::repr(dtype_object).c_str()));
  std::optional<Dtype> dtype = optional_dtype(dtype_object);
  bool nested = PyList_Check(o) || PyTuple_Check(o), integer = PyLong_Check(o);
  // Bytes are read as a buffer, which they are.
  if (PyBytes_Check(o) || PyByteArray_Check(o)) return *copy_foreign(object, dtype);
  if (!nested && !PyNumber_Check(o) && !is_array(o) && (is_text(o) || !is_foreign(o)))
    throw ValueError(cat("array: expected a number, nested lists or an array, got ", python_type(object)));
  try {
    return convert(object, dtype, "array");
  } catch (const TypeError& e) {
    throw ValueError(e.what());
  } catch (const ValueError&) {
    if (!dtype || !is_integer(*dtype) || !(nested || integer)) throw;
    return astype(convert(object, std::nullopt, "array"), *dtype);
  } catch (const nb::python_error& e) {
    // A tensor of PyTorch that is part of its own graph: MLX takes the values.
    if (!e.matches(PyExc_BufferError) || !nb::hasattr(object, "detach")) throw;
    return made_of(object.attr("detach")(), dtype_object);
  }
}

// MLX asks one row after the other, and whether two rows are equal has no answer.
int contains_row(PyObject* self, PyObject* value) {
  return guarded(
      [&] {
        nb::object rows = nb::steal(PyObject_GetIter(self));
        if (!rows) throw nb::python_error();
        for (;;) {
          nb::object row = nb::steal(PyIter_Next(rows.ptr()));
          if (!row) return PyErr_Occurred() ? -1 : 0;
          if (int equal = PyObject_RichCompareBool(row.ptr(), value, Py_EQ)) return equal;
        }
      },
      -1);
}

std::vector<PyType_Slot> all_slots() {
  std::vector<PyType_Slot> slots = mutable_operator_slots();
  slots.insert(slots.end(), {slot(Py_mp_subscript, get_mutable_item), slot(Py_mp_ass_subscript, set_mutable_item),
                             slot(Py_tp_iter, iterate_mutable), slot(Py_sq_contains, contains_row),
                             slot(Py_bf_getbuffer, get_mutable_buffer), slot(Py_bf_releasebuffer, release_buffer),
                             PyType_Slot{0, nullptr}});
  return slots;
}

}  // namespace

void point(PyObject* handle, Array at) { array_of(handle) = with_rebindable(std::move(at), true); }

PyObject* opened(PyObject* result) {
  if (!result || !is_array(result) || is_mutable(result)) return result;
  // What only this reference holds is moved, so that no other node is needed.
  nb::object held = nb::steal(result);
  Array& x = array_of(result);
  Array value = Py_REFCNT(result) == 1 ? std::move(x) : x;
  return guarded([&] { return wrap(with_rebindable(std::move(value), true)); });
}

void bind_mutable(nb::module_& m) {
  static const std::vector<PyType_Slot> slots = all_slots();
  nb::class_<MutableArray, Array> cls(m, "mutable_array", nb::is_final(), nb::is_weak_referenceable(), nb::pooled(1024),
                                      nb::type_slots(slots.data()),
                                      R"(An array whose elements can be assigned: what funcnn.compat calls an array.

`x[index] = v`, `x += v` and their like point the array at a new value: every name of it sees that, but no other array
does, those included that were made from `x` before (slices, `x.reshape(...)`).

Args:
    val: A number, nested lists or tuples, an array, or anything that speaks the buffer protocol,
        DLPack, `__array__` or `__mlx_array__`. Its elements are copied.
    dtype: The dtype; default: int32 for ints (int64 where they need it), float32 for floats, bool for
        bools, complex64 for complex numbers; arrays keep theirs, except that float64 becomes float32.
        Integers that do not fit wrap around.

Raises:
    TypeError: for None, and a dtype that is none.
    ValueError: for other objects that hold no numbers, and ragged lists.

Example:
    >>> import funcnn.compat.core as mx
    >>> x = mx.array([1, 2, 3])
    >>> y = x
    >>> x[0] = 7
    >>> y
    array([7, 2, 3], dtype=int32)
)");
  mutable_array_type = reinterpret_cast<PyTypeObject*>(cls.ptr());
  cls.def(
         "__init__",
         [](MutableArray* self, nb::handle val, nb::handle dtype) {
           new (self) MutableArray{with_rebindable(on_default_device(made_of(val, dtype)), true)};
         },
         nb::arg("val").none(), nb::arg("dtype").none() = nb::none(),
         nb::sig("def __init__(self, val: ArrayLike, dtype: Dtype | None = None) -> None"))
      .def_prop_ro(
          "dtype", [](const Array& x) { return nb::handle(dtype_object(x.dtype(), true)); },
          nb::sig("def dtype(self) -> Dtype"), "The type of the elements.")
      .def_prop_ro(
          "imag", [](const Array& x) { return with_rebindable(imag(x), true); }, nb::sig("def imag(self) -> array"),
          "The imaginary part.")
      .def(
          "__dlpack__",
          [](nb::handle self, nb::handle, nb::handle max_version, nb::handle device, nb::handle copy) {
            Array& x = array_of(self.ptr());
            evaluate(x, "__dlpack__");
            bool copied = !copy.is_none() && nb::cast<bool>(copy);
            if (!copied) expose(x);
            return to_dlpack(x, max_version, device, copy, false);
          },
          nb::kw_only(), nb::arg("stream").none() = nb::none(), nb::arg("max_version").none() = nb::none(),
          nb::arg("dl_device").none() = nb::none(), nb::arg("copy").none() = nb::none(),
          nb::sig("def __dlpack__(self, *, stream: Any = None, max_version: tuple[int, int] | None = None, dl_device: "
                  "tuple[int, int] | None = None, copy: bool | None = None) -> Any"),
          "Share the memory with another library, which may write to it.");
  bind_mutable_at(m);
  cls.def_prop_ro("at", &mutable_at, nb::sig("def at(self) -> mutable_array_at"),
                  "Update a part: `x.at[index].add(v)`, `.multiply`, ... return a new array.");

  m.def(
      "_mutable", [](const Array& x) { return with_rebindable(x, true); }, nb::arg("x"),
      nb::sig("def _mutable(x: array) -> mutable_array"), "A new mutable handle on the same value.");
  m.def(
      "_immutable", [](const Array& x) { return with_rebindable(x, false); }, nb::arg("x"),
      nb::sig("def _immutable(x: array) -> array"), "A new immutable handle on the same value.");
  m.def(
      "_same", [](const Array& x, const Array& y) { return x.node() == y.node(); }, nb::arg("x"), nb::arg("y"),
      nb::sig("def _same(x: array, y: array) -> bool"),
      "Whether two handles stand for one value, rather than for equal ones.");
}

}  // namespace funcnn
