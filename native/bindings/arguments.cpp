// Arguments of functions that are not arrays: integers, axes, shapes, and sequences of arrays.
#include "bindings/array.h"
#include "bindings/sequence.h"
#include "ops/views.h"

namespace funcnn {
namespace {

std::string shown(nb::handle object) {
  if (is_array(object.ptr())) {
    const Array& x = array_of(object.ptr());
    return cat("an array of shape ", x.shape(), " and dtype ", x.dtype());
  }
  std::string text = nb::repr(object).c_str();
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return cat(text, " (", python_type(object), ")");
}

// Whether `o` says that it is an integer (NumPy's, arrays of no axes), which `out` then is.
bool read_index(PyObject* o, nb::object& out) {
  if (!PyIndex_Check(o)) return false;
  out = nb::steal(PyNumber_Index(o));
  if (out.is_valid()) return true;
  if (!PyErr_ExceptionMatches(PyExc_TypeError)) throw nb::python_error();
  PyErr_Clear();
  return false;
}

// Arrays of MLX's kind are taken where it takes a sequence of integers.
bool lists_integers(const Array& x) { return x.node()->rebindable && x.ndim() == 1 && is_integer(x.dtype()); }

int64_t value_of(PyObject* integer, const char* what) {
  int64_t value = PyLong_AsLongLong(integer);
  if (value == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    throw ValueError(cat(what, ": the integer ", nb::repr(integer).c_str(), " is too large"));
  }
  return value;
}

}  // namespace

bool is_index(nb::handle object) {
  nb::object index;
  return PyLong_Check(object.ptr()) || (!is_array(object.ptr()) && read_index(object.ptr(), index));
}

int64_t integer_of(nb::handle object, const char* what) {
  if (PyLong_Check(object.ptr())) return value_of(object.ptr(), what);
  nb::object index;
  if (!read_index(object.ptr(), index)) throw TypeError(cat(what, ": expected an integer, got ", shown(object)));
  return value_of(index.ptr(), what);
}

SmallVector<int64_t, 4> integers_of(nb::handle object, const char* what) {
  SmallVector<int64_t, 4> out;
  PyObject* o = object.ptr();
  nb::object index;
  if (PyLong_Check(o)) {
    out.push_back(value_of(o, what));
  } else if (!PyList_Check(o) && !PyTuple_Check(o) && read_index(o, index)) {
    out.push_back(value_of(index.ptr(), what));
  } else if (is_array(o) && array_of(o).ndim() > 0 && !lists_integers(array_of(o))) {
    throw TypeError(cat(what, ": expected integers, got an array of shape ", array_of(o).shape(), " and dtype ",
                        dtype_name(array_of(o).dtype()), "; use its tolist()"));
  } else if (is_text(o) || !PySequence_Check(o) || (is_array(o) && !array_of(o).ndim())) {
    throw TypeError(cat(what, ": expected an integer or a sequence of integers, got ", shown(object)));
  } else {
    Items items(o);
    for (Py_ssize_t i = 0; i < items.size(); ++i) out.push_back(integer_of(items[i], what));
  }
  return out;
}

AxisSet axes_of(nb::handle axis, const char* name) {
  AxisSet set;
  if (axis.is_none()) return set;
  set.all = false;
  set.axes = integers_of(axis, name);
  return set;
}

Shape shape_of(nb::handle object, const char* name) {
  Shape shape;
  for (int64_t d : integers_of(object, name)) {
    if (d < 0) throw ValueError(cat(name, ": a shape cannot have a negative axis, got ", d));
    shape.push_back(d);
  }
  return shape;
}

nb::object shape_tuple(const Shape& shape) {
  nb::object tuple = nb::steal(PyTuple_New(Py_ssize_t(shape.size())));
  for (size_t i = 0; i < shape.size(); ++i) PyTuple_SetItem(tuple.ptr(), Py_ssize_t(i), PyLong_FromLongLong(shape[i]));
  return tuple;
}

Arrays arrays_of(nb::handle sequence, const char* name) {
  Arrays out;
  if (is_array(sequence.ptr())) {
    // An array stands for the list of its rows.
    const Array& x = array_of(sequence.ptr());
    if (x.ndim() == 0) throw ValueError(cat(name, ": expected arrays, got one of no axes"));
    for (int64_t i = 0; i < x.dim(0); ++i) {
      const int64_t zero[] = {0};
      out.push_back(squeeze(slice_axis(x, 0, i, i + 1), zero));
    }
    return out;
  }
  if (is_text(sequence.ptr()) || !PySequence_Check(sequence.ptr()))
    throw TypeError(cat(name, ": expected a sequence of arrays, got ", python_type(sequence)));
  Items items(sequence.ptr());
  for (Py_ssize_t i = 0; i < items.size(); ++i) out.push_back(as_array(items[i], name));
  return out;
}

nb::tuple tuple_of(const Arrays& arrays) {
  nb::object tuple = nb::steal(PyTuple_New(Py_ssize_t(arrays.size())));
  for (size_t i = 0; i < arrays.size(); ++i) PyTuple_SetItem(tuple.ptr(), Py_ssize_t(i), wrap(arrays[i]));
  return nb::borrow<nb::tuple>(tuple);
}

}  // namespace funcnn
