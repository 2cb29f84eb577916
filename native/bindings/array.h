// The Python class `array` and the conversions into it, for every file of the bindings.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "bindings/bindings.h"
#include "bindings/dtype.h"
#include "graph/array.h"
#include "ops/reduce.h"

namespace funcnn {

// A handle that may be pointed at another value: what funcnn.compat calls an array. Handles of this class, and no
// others, are on rebindable nodes.
struct MutableArray : Array {};

// The classes; final, so that their instances are told by their exact types.
extern PyTypeObject *array_type, *mutable_array_type;

inline bool is_mutable(PyObject* object) { return Py_TYPE(object) == mutable_array_type; }
inline bool is_array(PyObject* object) { return Py_TYPE(object) == array_type || is_mutable(object); }
// The handle inside an instance, at the same place in all of them; only where is_array holds.
extern ptrdiff_t array_offset;
inline Array& array_of(PyObject* object) {
  return *reinterpret_cast<Array*>(reinterpret_cast<std::byte*>(object) + array_offset);
}

// A new instance, of the class that the node asks for. The object is returned for functions, the pointer (a new
// reference) for slots.
nb::object wrap_object(Array array);
PyObject* wrap(Array array);

// The array that `object` stands for: an array, a number, nested lists, or anything that speaks the buffer protocol,
// DLPack or __array__. `name` is the function that was called, for errors.
Array as_array(nb::handle object, const char* name);
// What stands beside an array of dtype `like`: a Python number takes it, the rest is as for as_array.
Array as_operand(nb::handle object, Dtype like, const char* name);
// What stands beside `x`: the same, but beside a mutable array what other libraries hold takes its dtype too.
Array beside_array(nb::handle object, const Array& x, const char* name);
// Whether it is a number of Python's.
bool is_number(PyObject* object);
// The same for a value that stands for a Python number (see Node::weak).
Array beside(const Array& x, Dtype like);
Dtype weak_dtype(Dtype own, Dtype like);
// A value that stands for a Python float and comes with all of its digits (in float64), as functions see it: as
// float32. Beside float64 the digits are there again.
Array as_number(const Array& x);
// What came with them, or x.
Array with_all_digits(const Array& x);
// Two operands: a Python number takes the dtype of the array beside it.
std::pair<Array, Array> as_operands(nb::handle a, nb::handle b, const char* name);
// A number (bool, int, float or complex, subclasses included) as an array: beside an array of dtype `like` if given,
// else of its own default dtype. False if `object` is none.
bool convert_scalar(PyObject* object, std::optional<Dtype> like, Array& out);
// What was made of host memory where new arrays go.
Array on_default_device(Array made);
// A new array of the elements of `object`, of `dtype` if given; on the host, if it is not an array already.
Array convert(nb::handle object, std::optional<Dtype> dtype, const char* name);

// The element of a computed array at `data` as a Python number (a new reference).
PyObject* element(const std::byte* data, Dtype dtype);

// Compute the value (with the interpreter lock released). `what` is what asks for it, for errors.
void evaluate(const Array& array, const char* what);
// The value in row-major order; the array itself where it is so already.
Array dense(const Array& array);

// None, an int or a sequence of ints.
AxisSet axes_of(nb::handle axis, const char* name);
SmallVector<int64_t, 4> integers_of(nb::handle object, const char* what);
int64_t integer_of(nb::handle object, const char* what);
// Whether `object` is one integer, Python's or NumPy's; no array of ours.
bool is_index(nb::handle object);
Shape shape_of(nb::handle object, const char* name);
nb::object shape_tuple(const Shape& shape);
// Arrays in a list, tuple or other iterable.
Arrays arrays_of(nb::handle sequence, const char* name);
nb::tuple tuple_of(const Arrays& arrays);

// ---- defining functions

// Add a method to the class from another file.
template <class F, class... Extra>
void def_method(const char* name, F&& function, const Extra&... extra) {
  nb::cpp_function_def(std::forward<F>(function), nb::scope(nb::handle(reinterpret_cast<PyObject*>(array_type))),
                       nb::name(name), nb::is_method(), extra...);
}

// Point a mutable handle at a value.
void point(PyObject* handle, Array at);

template <class F>
PyType_Slot slot(int id, F* function) {
  return {id, reinterpret_cast<void*>(function)};
}

// The slots of the class that live in files of their own.
PyObject* get_item(PyObject* self, PyObject* index);
PyObject* get_row(PyObject* self, Py_ssize_t index);
int set_item(PyObject* self, PyObject* index, PyObject* value);
nb::object array_at(const Array& x);
extern const PyType_Slot operator_slots[];
extern const size_t operator_slot_count;

}  // namespace funcnn

// Functions that return an Array make an instance of the class that its node asks for.
template <>
struct nanobind::detail::type_hook<funcnn::Array> {
  static const std::type_info* get(const funcnn::Array* array) {
    return array && *array && array->node()->rebindable ? &typeid(funcnn::MutableArray) : &typeid(funcnn::Array);
  }
};
