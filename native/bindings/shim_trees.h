// Trees of dicts, lists and tuples as the shim walks them, in the order in which they hold their items.
#pragma once

#include "bindings/bindings.h"

namespace funcnn {

void bind_shim_trees(nb::module_& m);
void bind_shim_modules(nb::module_& m);

inline nb::object checked(PyObject* made) {
  if (!made) throw nb::python_error();
  return nb::steal(made);
}
inline void check(int status) {
  if (status < 0) throw nb::python_error();
}
inline bool truth(int answer) {
  check(answer);
  return answer != 0;
}

// One level of a walk: trees may be deeper than the stack, and may contain themselves.
class Level {
 public:
  Level() { check(Py_EnterRecursiveCall(" in a tree") ? -1 : 0); }
  ~Level() { Py_LeaveRecursiveCall(); }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;
};

// visit(key, value) for the items of a dict, as its class lists them. The references are held.
template <class Visit>
void each_item(nb::handle dict, Visit visit) {
  if (PyDict_CheckExact(dict.ptr())) {
    PyObject *key, *value;
    Py_ssize_t at = 0, size = PyDict_Size(dict.ptr());
    while (PyDict_Next(dict.ptr(), &at, &key, &value)) {
      nb::object own_key = nb::borrow(key), own_value = nb::borrow(value);
      visit(nb::handle(key), nb::handle(value));
      if (PyDict_Size(dict.ptr()) != size) {
        PyErr_SetString(PyExc_RuntimeError, "dictionary changed size during iteration");
        throw nb::python_error();
      }
    }
    return;
  }
  nb::object items = checked(PyMapping_Items(dict.ptr()));
  for (nb::handle item : items) visit(nb::handle(item[0]), nb::handle(item[1]));
}

// visit(index, value) for the items of a list or tuple.
template <class Visit>
void each_element(nb::handle sequence, Visit visit) {
  Py_ssize_t i = 0;
  if (PyList_CheckExact(sequence.ptr())) {
    for (; i < PyList_Size(sequence.ptr()); ++i) visit(i, nb::handle(nb::borrow(PyList_GetItem(sequence.ptr(), i))));
  } else if (PyTuple_CheckExact(sequence.ptr())) {
    for (; i < PyTuple_Size(sequence.ptr()); ++i) visit(i, nb::handle(PyTuple_GetItem(sequence.ptr(), i)));
  } else {
    nb::object iterator = checked(PyObject_GetIter(sequence.ptr()));
    while (PyObject* item = PyIter_Next(iterator.ptr())) visit(i++, nb::handle(nb::steal(item)));
    if (PyErr_Occurred()) throw nb::python_error();
  }
}

}  // namespace funcnn
