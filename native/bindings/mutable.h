// Arrays that may be pointed at other values: what differs from funcnn.array, as MLX has it.
#pragma once

#include <vector>

#include "bindings/array.h"
#include "ops/index.h"

namespace funcnn {

// x[key] as MLX reads it, and x with the part x[key] combined with `value`.
Array read_part(const Array& x, PyObject* key);
Array updated_part(UpdateMode mode, const Array& x, PyObject* key, nb::handle value);
nb::object mutable_at(const Array& x);
void bind_mutable_at(nb::module_& m);

// Slots of the class.
PyObject* get_mutable_item(PyObject* self, PyObject* key);
int set_mutable_item(PyObject* self, PyObject* key, PyObject* value);
PyObject* iterate_mutable(PyObject* self);
int get_mutable_buffer(PyObject* self, Py_buffer* view, int flags);
std::vector<PyType_Slot> mutable_operator_slots();

// A mutable array in the place of an immutable one, anything else as it is. Takes the reference.
PyObject* opened(PyObject* result);

// The value in dense memory that other libraries may write to; from now on the handle stands for what is there.
void expose(Array& handle);

}  // namespace funcnn
