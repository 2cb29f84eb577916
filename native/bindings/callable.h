// Slots of classes whose instances are called: with a call(args, kwargs), references that the garbage collector follows
// (traverse) and drops (drop), and a __dict__.
#pragma once

#include <cstddef>

#include "bindings/bindings.h"

namespace funcnn {

template <class T>
struct CallableSlots {
  static inline Py_ssize_t dict_offset = 0;  // where instances keep their __dict__

  static PyObject*& dict_of(PyObject* self) {
    return *reinterpret_cast<PyObject**>(reinterpret_cast<std::byte*>(self) + dict_offset);
  }
  static PyObject* call(PyObject* self, PyObject* args, PyObject* kwargs) {
    return guarded([&] { return nb::inst_ptr<T>(nb::handle(self))->call(args, kwargs).release().ptr(); });
  }
  static int traverse(PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    if (dict_offset) Py_VISIT(dict_of(self));
    return nb::inst_ready(self) ? nb::inst_ptr<T>(nb::handle(self))->traverse(visit, arg) : 0;
  }
  static int clear(PyObject* self) {
    if (dict_offset) Py_CLEAR(dict_of(self));
    if (nb::inst_ready(self)) nb::inst_ptr<T>(nb::handle(self))->drop();
    return 0;
  }
  static inline PyType_Slot slots[] = {{Py_tp_call, reinterpret_cast<void*>(call)},
                                       {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
                                       {Py_tp_clear, reinterpret_cast<void*>(clear)},
                                       {0, nullptr}};
  // Once the class is made.
  static void bind(nb::handle type) { dict_offset = nb::cast<Py_ssize_t>(type.attr("__dictoffset__")); }
};

// Of the Python function that such an instance holds.
inline void check_is_there(const nb::object& function) {
  if (!function.is_valid()) throw ValueError("compile: the garbage collector has taken the function of this object");
}
inline nb::object called(const nb::object& function, nb::handle args, nb::handle kwargs) {
  check_is_there(function);
  nb::object result = nb::steal(PyObject_Call(function.ptr(), args.ptr(), kwargs.is_valid() ? kwargs.ptr() : nullptr));
  if (!result.is_valid()) throw nb::python_error();
  return result;
}

}  // namespace funcnn
