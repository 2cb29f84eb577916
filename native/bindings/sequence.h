// Reading Python sequences, and telling what is none.
#pragma once

#include <string>

#include "bindings/bindings.h"

namespace funcnn {

inline bool is_text(PyObject* o) { return PyUnicode_Check(o) || PyBytes_Check(o) || PyByteArray_Check(o); }

inline std::string python_type(nb::handle object) { return nb::inst_name(object).c_str(); }

// A list, tuple or other sequence, one level of it.
class Items {
 public:
  explicit Items(PyObject* o) : list_(nb::steal(PySequence_Fast(o, "expected a sequence"))) {
    if (!list_.is_valid()) throw nb::python_error();
    is_list_ = PyList_Check(list_.ptr());
    size_ = PySequence_Size(list_.ptr());
  }
  Py_ssize_t size() const { return size_; }
  // A borrowed reference.
  PyObject* operator[](Py_ssize_t i) const {
    PyObject* item = is_list_ ? PyList_GetItem(list_.ptr(), i) : PyTuple_GetItem(list_.ptr(), i);
    if (!item) throw nb::python_error();
    return item;
  }

 private:
  nb::object list_;
  bool is_list_;
  Py_ssize_t size_;
};

}  // namespace funcnn
