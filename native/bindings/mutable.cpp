// The class of arrays that may be pointed at other values: what funcnn.compat calls an array. Which class an array has
// is a bit of its node, so that every function gives a mutable array as soon as one of its arguments is mutable.
#include "bindings/array.h"
#include "graph/trace.h"

namespace funcnn {

void point(PyObject* handle, Array at) { array_of(handle) = with_rebindable(std::move(at), true); }

void bind_mutable(nb::module_& m) {
  nb::class_<MutableArray, Array> cls(m, "mutable_array", nb::is_final(), nb::is_weak_referenceable(), nb::pooled(1024),
                                      "An array whose elements can be assigned: what funcnn.compat calls an array.");
  mutable_array_type = reinterpret_cast<PyTypeObject*>(cls.ptr());
  cls.def(
      "__init__",
      [](MutableArray* self, nb::handle obj, nb::handle dtype) {
        Array made = on_default_device(convert(obj, optional_dtype(dtype), "array"));
        new (self) MutableArray{with_rebindable(std::move(made), true)};
      },
      nb::arg("obj").none(), nb::arg("dtype").none() = nb::none(),
      nb::sig("def __init__(self, obj: ArrayLike, dtype: Dtype | None = None) -> None"));

  m.def(
      "_mutable", [](const Array& x) { return with_rebindable(x, true); }, nb::arg("x"),
      nb::sig("def _mutable(x: array) -> mutable_array"), "A new mutable handle on the same value.");
  m.def(
      "_immutable", [](const Array& x) { return with_rebindable(x, false); }, nb::arg("x"),
      nb::sig("def _immutable(x: array) -> array"), "A new immutable handle on the same value.");
  m.def(
      "_point",
      [](nb::handle handle, const Array& x) {
        if (!is_mutable(handle.ptr())) throw TypeError("_point: expected a mutable array");
        point(handle.ptr(), x);
      },
      nb::arg("handle"), nb::arg("x"), nb::sig("def _point(handle: mutable_array, x: array) -> None"),
      "Let a mutable handle stand for the value of `x` from now on.");
  m.def(
      "_same", [](const Array& x, const Array& y) { return x.node() == y.node(); }, nb::arg("x"), nb::arg("y"),
      nb::sig("def _same(x: array, y: array) -> bool"),
      "Whether two handles stand for one value, rather than for equal ones.");
}

}  // namespace funcnn
