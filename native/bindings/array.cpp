// The class `array`: construction, attributes, and the ways to read values.
#include "bindings/array.h"

#include <nanobind/stl/string.h>

#include <vector>

#include "bindings/device.h"
#include "bindings/gil.h"
#include "bindings/interchange.h"
#include "bindings/kept_arrays.h"
#include "graph/graph.h"
#include "graph/trace.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/views.h"
#include "plan/eval.h"
#include "pytree/container.h"

namespace funcnn {

PyTypeObject* array_type = nullptr;
PyTypeObject* mutable_array_type = nullptr;
ptrdiff_t array_offset = 0;

nb::object wrap_object(Array array) {
  PyTypeObject* type = array.node()->rebindable ? mutable_array_type : array_type;
  nb::object made = nb::inst_alloc(nb::handle(reinterpret_cast<PyObject*>(type)));
  new (&array_of(made.ptr())) Array(std::move(array));
  nb::inst_mark_ready(made);
  return made;
}

PyObject* wrap(Array array) { return wrap_object(std::move(array)).release().ptr(); }

void evaluate(const Array& array, const char* what) { evaluate(array, what, {}); }
void evaluate(const Array& array, const char* what, std::string_view advice) {
  for (;;) {
    const Node& node = *array.node();
    if (node.abstract && advice.empty()) throw_traced_value(node, what);
    if (node.abstract) throw_traced_value(node, what, advice);
    const bool computed = node.available();
    if (computed && !node.storage.ready) return;
    // While the lock is released, another thread may point a mutable handle elsewhere.
    Array kept = array;
    Unlocked unlocked;
    if (computed) return wait(Span(&kept, 1));
    eval(Span(&kept, 1));
  }
}

PyObject* element(const std::byte* data, Dtype dtype) {
  return visit_dtype(dtype, [&](auto tag) -> PyObject* {
    using T = typename decltype(tag)::type;
    T value;
    std::memcpy(&value, data, sizeof(T));
    if constexpr (std::is_same_v<T, bool>)
      return PyBool_FromLong(value);
    else if constexpr (std::is_same_v<T, complex64_t>)
      return PyComplex_FromDoubles(double(value.real()), double(value.imag()));
    else if constexpr (std::is_same_v<T, uint64_t>)
      return PyLong_FromUnsignedLongLong(value);
    else if constexpr (std::is_integral_v<T>)
      return PyLong_FromLongLong(int64_t(value));
    else
      return PyFloat_FromDouble(double(value));
  });
}

namespace {

nb::object item(const Array& x, const char* what, std::string_view advice = {}) {
  if (x.size() != 1) throw ValueError(cat(what, ": expected an array of one element, got shape ", x.shape()));
  evaluate(x, what, advice);
  return nb::steal(element(host_elements(x).data, x.dtype()));
}

nb::object list_of(const std::byte* data, const Strides& strides, const Array& x, size_t axis) {
  if (axis == x.ndim()) return pytree::owned(element(data, x.dtype()));
  int64_t length = x.shape()[axis], step = strides[axis] * int64_t(item_size(x.dtype()));
  nb::object list = pytree::owned(PyList_New(Py_ssize_t(length)));
  for (int64_t i = 0; i < length; ++i)
    PyList_SetItem(list.ptr(), Py_ssize_t(i), list_of(data + i * step, strides, x, axis + 1).release().ptr());
  return list;
}

// The transformation under which a value has only a shape.
std::string trace_name(const Array& x) {
  std::string name = "a transformation";
  topological_order(Span(&x, 1), [&](Node& n) {
    if (!n.abstract) return false;
    if (auto* p = dynamic_cast<const Placeholder*>(n.primitive.get())) name = p->trace().what;
    return true;
  });
  return name;
}

nb::object describe(nb::handle self) {
  const Array& x = array_of(self.ptr());
  if (x.node()->abstract)
    return nb::str(cat("traced array of shape ", x.shape(), ", ", x.dtype(), " in ", trace_name(x)).c_str());
  evaluate(x, "repr()");
  return nb::module_::import_("funcnn._array").attr("describe")(self);
}

nb::object format(nb::handle self, nb::handle spec) {
  const Array& x = array_of(self.ptr());
  if (nb::len(spec) == 0) return describe(self);
  if (x.size() != 1) throw TypeError(cat("format: a format applies to arrays of one element, got shape ", x.shape()));
  return item(x, "format()").attr("__format__")(spec);
}

// ---- slots

PyObject* repr_slot(PyObject* self) {
  return guarded([&] { return describe(self).release().ptr(); });
}

Py_ssize_t length_slot(PyObject* self) {
  return guarded(
      [&] {
        const Array& x = array_of(self);
        if (x.ndim() == 0) throw TypeError("len(): an array of no axes has no length");
        return Py_ssize_t(x.dim(0));
      },
      Py_ssize_t(-1));
}

PyObject* iterator_slot(PyObject* self) {
  return guarded([&] {
    if (array_of(self).ndim() == 0) throw TypeError("iter(): an array of no axes cannot be iterated over");
    return PySeqIter_New(self);
  });
}

int bool_slot(PyObject* self) {
  return guarded(
      [&] {
        const Array& x = array_of(self);
        if (x.size() != 1)
          throw ValueError(
              cat("bool(): the truth of an array of shape ", x.shape(), " is ambiguous; use .any() or .all()"));
        return PyObject_IsTrue(item(x, "bool()").ptr());
      },
      -1);
}

// Whether any element equals the value, as NumPy has it.
int contains_slot(PyObject* self, PyObject* value) {
  return guarded(
      [&] {
        nb::object equal = nb::steal(PyObject_RichCompare(self, value, Py_EQ));
        if (!equal) throw nb::python_error();
        if (!is_array(equal.ptr())) return PyObject_IsTrue(equal.ptr());
        return PyObject_IsTrue(item(any(array_of(equal.ptr()), {}, false), "in").ptr());
      },
      -1);
}

PyObject* int_slot(PyObject* self) {
  return guarded([&] { return PyNumber_Long(item(array_of(self), "int()").ptr()); });
}

PyObject* float_slot(PyObject* self) {
  return guarded([&] {
    constexpr std::string_view advice =
        "compute with functions of funcnn (fn.sin for math.sin), choose with fn.where, fn.cond, fn.while_loop or "
        "fn.scan, or make the argument static";
    return PyNumber_Float(item(array_of(self), "float()", advice).ptr());
  });
}

PyObject* index_slot(PyObject* self) {
  return guarded([&] {
    const Array& x = array_of(self);
    if (x.ndim() != 0 || !is_integer(x.dtype()))
      throw TypeError(
          cat("only integer arrays of no axes can be an index, got shape ", x.shape(), " and dtype ", x.dtype()));
    return item(x, "__index__()").release().ptr();
  });
}

std::vector<PyType_Slot> all_slots() {
  std::vector<PyType_Slot> slots(operator_slots, operator_slots + operator_slot_count);
  slots.insert(slots.end(),
               {slot(Py_tp_repr, repr_slot), slot(Py_tp_str, repr_slot), slot(Py_tp_iter, iterator_slot),
                slot(Py_nb_bool, bool_slot), slot(Py_nb_int, int_slot), slot(Py_nb_float, float_slot),
                slot(Py_nb_index, index_slot), slot(Py_mp_length, length_slot), slot(Py_mp_subscript, get_item),
                slot(Py_mp_ass_subscript, set_item), slot(Py_sq_item, get_row), slot(Py_sq_length, length_slot),
                slot(Py_sq_contains, contains_slot), slot(Py_bf_getbuffer, get_buffer),
                slot(Py_bf_releasebuffer, release_buffer)});
  if (kKeepsArrays) slots.push_back(slot(Py_tp_dealloc, let_go_of_array));
  slots.push_back({0, nullptr});
  return slots;
}

Array matrix_transpose_of(const Array& x) {
  if (x.ndim() < 2) throw ValueError(cat("mT: expected at least two axes, got shape ", x.shape()));
  return swapaxes(x, -1, -2);
}

}  // namespace

void bind_array(nb::module_& m) {
  static const std::vector<PyType_Slot> slots = all_slots();
  auto* any_type = reinterpret_cast<PyTypeObject*>(dtype_class().ptr());
  prepare_to_keep_arrays(reinterpret_cast<destructor>(PyType_GetSlot(any_type, Py_tp_dealloc)));
  nb::class_<Array> cls(m, "array", nb::is_final(), nb::is_weak_referenceable(), nb::pooled(1024),
                        nb::type_slots(slots.data()),
                        R"(An immutable array of numbers, computed when it is first looked at.

Args:
    obj: A number, nested lists or tuples, an array, or anything that speaks the buffer protocol,
        DLPack or `__array__`. Its elements are copied.
    dtype: The dtype; default: int32 for ints (int64 where they need it), float32 for floats, bool for
        bools, complex64 for complex numbers; arrays keep theirs, except that float64 becomes float32.

Raises:
    TypeError: for text and other objects that hold no numbers.
    ValueError: for ragged lists and integers that do not fit the dtype.

Example:
    >>> x = fn.array([[1, 2], [3, 4]])
    >>> x * 0.5
    array([[0.5, 1. ],
           [1.5, 2. ]], dtype=float32)
)");
  array_type = reinterpret_cast<PyTypeObject*>(cls.ptr());
  {
    nb::object any = nb::inst_alloc(cls);
    array_offset = reinterpret_cast<std::byte*>(nb::inst_ptr<Array>(any)) - reinterpret_cast<std::byte*>(any.ptr());
    begin_to_keep_arrays();
  }
  cls.attr("__array_priority__") = 1000;

  cls.def(
         "__init__",
         [](Array* self, nb::handle obj, nb::handle dtype) {
           new (self) Array(with_rebindable(on_default_device(convert(obj, optional_dtype(dtype), "array")), false));
         },
         nb::arg("obj").none(), nb::arg("dtype").none() = nb::none(),
         nb::sig("def __init__(self, obj: ArrayLike, dtype: Dtype | None = None) -> None"))
      .def_prop_ro(
          "shape", [](const Array& x) { return shape_tuple(x.shape()); }, nb::sig("def shape(self) -> tuple[int, ...]"),
          "The length of each axis.")
      .def_prop_ro(
          "dtype", [](const Array& x) { return x.dtype(); }, nb::sig("def dtype(self) -> Dtype"),
          "The type of the elements.")
      .def_prop_ro("ndim", &Array::ndim, "The number of axes.")
      .def_prop_ro("size", &Array::size, "The number of elements.")
      .def_prop_ro(
          "itemsize", [](const Array& x) { return item_size(x.dtype()); }, "Bytes an element takes.")
      .def_prop_ro("nbytes", &Array::nbytes, "Bytes the elements take.")
      .def_prop_ro(
          "device",
          [](const Array& x) {
            Device device = x.node()->device;
            return device.placed() ? device : default_device();
          },
          nb::sig("def device(self) -> Device"),
          "Where the elements are, or will be. What is made from numbers alone (`zeros`, `arange`, a key) is on the\n"
          "default device, and follows what it is combined with.")
      .def_prop_ro(
          "T", [](const Array& x) { return transpose(x, {}); }, nb::sig("def T(self) -> array"),
          "The axes in reverse order.")
      .def_prop_ro("mT", &matrix_transpose_of, nb::sig("def mT(self) -> array"), "The last two axes exchanged.")
      .def_prop_ro("at", &array_at, nb::sig("def at(self) -> ArrayAt"),
                   "Replace a part: `x.at[index].set(v)`, `.add`, `.multiply`, ... return a new array.")
      .def_prop_ro(
          "real", [](const Array& x) { return real(x); }, nb::sig("def real(self) -> array"), "The real part.")
      .def_prop_ro(
          "imag", [](const Array& x) { return imag(x); }, nb::sig("def imag(self) -> array"), "The imaginary part.")
      .def(
          "item", [](const Array& x) { return item(x, "item()"); }, nb::sig("def item(self) -> Any"),
          R"(Return the only element as a Python number.

Raises:
    ValueError: if the array does not have exactly one element.

Example:
    >>> fn.array([2.5]).item()
    2.5
)")
      .def(
          "tolist",
          [](const Array& x) {
            evaluate(x, "tolist()");
            HostElements elements = host_elements(x);
            return list_of(elements.data, elements.strides, x, 0);
          },
          nb::sig("def tolist(self) -> Any"),
          R"(Return the elements as nested lists of Python numbers.

Example:
    >>> fn.array([[1, 2], [3, 4]]).tolist()
    [[1, 2], [3, 4]]
)")
      .def(
          "__complex__",
          [](const Array& x) {
            nb::object number = item(x, "complex()");
            return nb::steal(
                PyObject_CallFunctionObjArgs(reinterpret_cast<PyObject*>(&PyComplex_Type), number.ptr(), nullptr));
          },
          nb::sig("def __complex__(self) -> complex"))
      .def(
          "__format__", [](nb::handle self, nb::handle spec) { return format(self, spec); }, nb::arg("spec"),
          nb::sig("def __format__(self, spec: str, /) -> str"))
      .def(
          "copy", [](const Array& x) { return copied(x); }, nb::sig("def copy(self) -> array"),
          R"(Copy the elements, so that nothing shares their memory.

Arrays are immutable, so this matters only for memory that `fn.asarray` shares with another library,
which may write to it.

Example:
    >>> import numpy as np
    >>> numbers = np.zeros(2, np.float32)
    >>> shared = fn.asarray(numbers)
    >>> copy = shared.copy()
    >>> numbers[0] = 7
    >>> shared.tolist(), copy.tolist()
    ([7.0, 0.0], [0.0, 0.0])
)")
      .def(
          "nonzero",
          [](nb::handle self, nb::handle size) {
            return nb::module_::import_("funcnn._selection").attr("nonzero")(self, nb::arg("size") = size);
          },
          nb::kw_only(), nb::arg("size").none() = nb::none(),
          nb::sig("def nonzero(self, *, size: int | None = None) -> tuple[array, ...]"),
          "Find the positions of the elements that are not zero, one array for each axis.\n\nSee `funcnn.nonzero`.")
      .def(
          "__copy__", [](const Array& x) { return x; }, nb::sig("def __copy__(self) -> array"))
      .def(
          "__deepcopy__", [](const Array& x, nb::handle) { return x; }, nb::arg("memo"),
          nb::sig("def __deepcopy__(self, memo: Any, /) -> array"))
      .def(
          "__reduce_ex__", [](nb::handle self, int protocol) { return reduce_for_pickle(self, protocol); },
          nb::arg("protocol"), nb::sig("def __reduce_ex__(self, protocol: Any, /) -> Any"))
      .def(
          "to_device",
          [](const Array& x, nb::handle device, nb::handle stream) {
            if (!stream.is_none())
              throw ValueError("to_device: stream must be None: the library orders work on devices by itself");
            return placed(x, device, "to_device");
          },
          nb::arg("device"), nb::kw_only(), nb::arg("stream").none() = nb::none(),
          nb::sig("def to_device(self, device: Device | str, /, *, stream: None = None) -> array"),
          R"(Move the array to a device; one that is there is returned as it is. See `funcnn.device_put`.

Raises:
    ValueError: for a device that this build or machine does not have, or a stream.

Example:
    >>> fn.ones(2).to_device("cpu").device
    Device('cpu')
)")
      .def(
          "__array_namespace__",
          [](const Array&, nb::handle version) {
            return nb::module_::import_("funcnn._array_api").attr("namespace")(version);
          },
          nb::kw_only(), nb::arg("api_version").none() = nb::none(),
          nb::sig("def __array_namespace__(self, /, *, api_version: str | None = None) -> Any"),
          "Return the module whose functions are those of the array API standard: funcnn.")
      .def(
          "__array__",
          [](nb::handle self, nb::handle dtype, nb::handle copy) {
            return nb::module_::import_("funcnn._array").attr("to_numpy")(self, dtype, copy);
          },
          nb::arg("dtype").none() = nb::none(), nb::arg("copy").none() = nb::none(),
          nb::sig(
              "def __array__(self, dtype: Any = None, copy: bool | None = None) -> numpy.typing.NDArray[typing.Any]"),
          "Make a NumPy array: a read-only view without a copy where possible; bfloat16 becomes float32.")
      .def(
          "__array_function__",
          [](nb::handle, nb::handle function, nb::handle, nb::handle args, nb::handle kwargs) {
            return nb::module_::import_("funcnn._array").attr("call_numpy")(function, args, kwargs);
          },
          nb::arg("func"), nb::arg("types"), nb::arg("args"), nb::arg("kwargs"),
          nb::sig("def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any"),
          "Let functions of NumPy work on the array's values: they return what they return for NumPy arrays.")
      .def(
          "__dlpack__",
          [](const Array& x, nb::handle, nb::handle max_version, nb::handle device, nb::handle copy) {
            return to_dlpack(x, max_version, device, copy);
          },
          nb::kw_only(), nb::arg("stream").none() = nb::none(), nb::arg("max_version").none() = nb::none(),
          nb::arg("dl_device").none() = nb::none(), nb::arg("copy").none() = nb::none(),
          nb::sig("def __dlpack__(self, *, stream: Any = None, max_version: tuple[int, int] | None = None, dl_device: "
                  "tuple[int, int] | None = None, copy: bool | None = None) -> Any"),
          "Share the memory with another library (https://dmlc.github.io/dlpack).")
      .def(
          "__dlpack_device__", [](const Array&) { return nb::make_tuple(1, 0); },
          nb::sig("def __dlpack_device__(self) -> tuple[int, int]"), "Name the device for DLPack: the CPU.");

  m.def(
      "_is_computed", [](const Array& x) { return !x.node()->abstract && x.node()->available(); }, nb::arg("x"),
      nb::sig("def _is_computed(x: array) -> bool"), "Whether the elements are there to be read.");
  m.def(
      "_require_values",
      [](const Array& x, const std::string& what, const std::string& advice) {
        if (x.node()->abstract) throw_traced_value(*x.node(), what, advice);
      },
      nb::arg("x"), nb::arg("what"), nb::arg("advice"),
      nb::sig("def _require_values(x: array, what: str, advice: str) -> None"));
}

}  // namespace funcnn
