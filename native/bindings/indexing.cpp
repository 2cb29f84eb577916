// Reading and writing parts: x[...], x.at[...].
#include "bindings/array.h"
#include "ops/views.h"

namespace funcnn {

PyObject* get_item(PyObject* self, PyObject* index) {
  return guarded([&]() -> PyObject* {
    if (PyLong_Check(index)) return get_row(self, Py_ssize_t(integer_of(index, "index")));
    throw TypeError("indexing: not yet");
  });
}

PyObject* get_row(PyObject* self, Py_ssize_t index) {
  return guarded([&] {
    const Array& x = array_of(self);
    if (x.ndim() == 0) throw IndexError("index: an array of no axes cannot be indexed by an integer");
    int64_t length = x.dim(0), row = index < 0 ? index + length : index;
    if (row < 0 || row >= length)
      throw IndexError(cat("index: ", index, " is out of range for axis 0 of length ", length));
    const int64_t zero[] = {0};
    return wrap(squeeze(slice_axis(x, 0, row, row + 1), zero));
  });
}

int set_item(PyObject*, PyObject*, PyObject*) {
  return guarded(
      [&]() -> int {
        throw TypeError("arrays are immutable: x[index] = value is not possible; use y = x.at[index].set(value)");
      },
      -1);
}

}  // namespace funcnn
