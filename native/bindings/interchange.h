// Arrays of other libraries: the buffer protocol, DLPack, __array__.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "bindings/array.h"

namespace funcnn {

// Compute the value for a reader who has advice of its own on what to do where there is none; empty: it has not.
void evaluate(const Array& array, const char* what, std::string_view advice);

// Elements that somebody else owns.
struct Foreign {
  std::byte* data = nullptr;
  Shape shape;
  Strides strides;  // in bytes
  Dtype dtype = Dtype::float32;
  bool complex128 = false;      // dtype is complex64, elements are pairs of doubles
  std::shared_ptr<void> owner;  // keeps `data` alive
};

// The array that an object gives for itself (`__mlx_array__`), if it does.
std::optional<Array> open_own(nb::handle object);
// Whether the object speaks one of the protocols.
bool is_foreign(PyObject* object);
// Its elements, or nothing if it speaks none. Raises what the object's own methods raise.
std::optional<Foreign> open_foreign(nb::handle object);
std::optional<Foreign> open_buffer(nb::handle object);
std::optional<Foreign> open_dlpack(nb::handle object);

// A copy of `dtype`; without one, float64 becomes float32.
std::optional<Array> copy_foreign(nb::handle object, std::optional<Dtype> dtype);

// Slots of the class `array`.
int get_buffer(PyObject* self, Py_buffer* view, int flags);
void release_buffer(PyObject* self, Py_buffer* view);
// Describe the memory of a computed array to another library.
int fill_buffer(PyObject* self, const Array& array, Py_buffer* view, int flags, bool readonly);
// Whether the protocol has a name for the dtype; if not, the error is set.
bool can_export(Dtype dtype);
nb::object to_dlpack(const Array& array, nb::handle max_version, nb::handle device, nb::handle copy,
                     bool readonly = true);
nb::object reduce_for_pickle(nb::handle self, int protocol);

// An array of the same elements that shares no memory with another library.
Array copied(const Array& array);

// The same, without a copy where no other library has the memory.
Array unshared(const Array& array);

// The elements of a computed array in row-major order.
void copy_elements(const Array& array, std::byte* out);
// A dense copy in memory of its own.
Array private_copy(const Array& array);
// What other libraries may be shown of a computed array. Constants inside nodes serve the whole process, and not every
// library respects that memory is read-only: they are copied.
Array shareable(const Array& array);

}  // namespace funcnn
