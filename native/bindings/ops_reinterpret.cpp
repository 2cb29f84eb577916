// The same memory read otherwise, and where results lie.
#include "bindings/define.h"
#include "bindings/device.h"
#include "bindings/interchange.h"
#include "bindings/sequence.h"
#include "graph/trace.h"
#include "graph/transfer.h"
#include "ops/annotate.h"
#include "ops/reinterpret.h"
#include "ops/views.h"

namespace funcnn {
namespace {

Array strided(nb::handle object, nb::handle shape, nb::handle strides, int64_t offset) {
  Array x = as_array(object, "as_strided");
  Shape to = shape.is_none() ? x.shape() : shape_of(shape, "as_strided");
  Strides by = contiguous_strides(to);
  if (!strides.is_none()) {
    by.clear();
    for (int64_t s : integers_of(strides, "as_strided")) by.push_back(s);
  }
  return as_strided(x, to, by, offset);
}

// Row-major memory; with `columns` also column-major.
Array contiguous(const Array& x, bool columns) {
  if (is_traced(x)) return x;
  evaluate(x, "contiguous");
  if (x.node()->is_scalar()) return x;
  const Strides& strides = x.node()->storage.strides;
  if (is_contiguous(x.shape(), strides)) return x;
  if (columns) {
    Shape shape(x.shape().rbegin(), x.shape().rend());
    if (is_contiguous(shape, Strides(strides.rbegin(), strides.rend()))) return x;
  }
  return device_put(dense(x), x.node()->storage.buffer->device());
}

nb::object depends(nb::handle inputs, nb::handle dependencies) {
  bool one = is_array(inputs.ptr());
  auto all = [](nb::handle given) {
    return is_array(given.ptr()) ? Arrays{array_of(given.ptr())} : arrays_of(given, "depends");
  };
  Arrays values = all(inputs), after = all(dependencies);
  for (Array& x : values) x = barrier(x, after);
  if (one) return wrap_object(values[0]);
  nb::list made;
  for (Array& x : values) made.append(wrap_object(x));
  return made;
}

}  // namespace

void bind_reinterpret(nb::module_& m) {
  define_both(
      m, "view",
      [](nb::handle x, nb::handle dtype) { return wrap_object(view_as(as_array(x, "view"), dtype_of(dtype))); },
      {"dtype: Dtype",
       example(
           "view", "Read the bits of the elements as another dtype.",
           "Where its elements are larger or smaller, the last axis becomes shorter or longer. As bool, bytes other "
           "than zero are\ntrue. Between float32 and complex64 it is differentiable, between other floats not.\n\n"
           "Raises:\n    ValueError: The bytes of the last axis are no whole number of elements.",
           "fn.array([1.0, -2.0]), fn.int32", "array([ 1065353216, -1073741824], dtype=int32)")},
      nb::arg("dtype"));
  define_function(
      m, "as_strided",
      [](nb::handle x, nb::handle shape, nb::handle strides, int64_t offset) {
        return wrap_object(strided(x, shape, strides, offset));
      },
      {"shape: int | Sequence[int] | None = None, strides: int | Sequence[int] | None = None, offset: int = 0",
       example("as_strided", "Look at the elements, in row-major order, at strides of one's own.",
               "Places may overlap: derivatives add up.\n\n"
               "Args:\n    x: The array.\n    shape: The shape of the result; default: that of x.\n"
               "    strides: How many elements further the next place along each axis is; default: those of a dense "
               "array of the shape.\n    offset: The element at the first place.\n\n"
               "Raises:\n    ValueError: An element outside x would be read.",
               "fn.arange(5), (3, 3), (1, 1)",
               "array([[0, 1, 2],\n       [1, 2, 3],\n       [2, 3, 4]], dtype=int32)")},
      or_none("shape"), or_none("strides"), nb::arg("offset") = 0);
  define_function(
      m, "contiguous",
      [](nb::handle x, bool columns) { return wrap_object(contiguous(as_array(x, "contiguous"), columns)); },
      {"allow_col_major: bool = False",
       example("contiguous", "Compute x with its elements in row-major order in memory.",
               "It matters only to other libraries that share the memory. Under transformations x itself is "
               "returned.\n\nArgs:\n    x: The array.\n    allow_col_major: Whether column-major order is as "
               "good.",
               "fn.array([[1, 2], [3, 4]]).T", "array([[1, 3],\n       [2, 4]], dtype=int32)")},
      nb::arg("allow_col_major") = false);
  m.def("depends", &depends, nb::arg("inputs"), nb::arg("dependencies"),
        nb::sig("def depends(inputs: array | Sequence[array], dependencies: array | Sequence[array]) -> Any"),
        R"(Return arrays as they are, but computed after others.

Args:
    inputs: An array, or several.
    dependencies: What is computed before; carries no derivative.

Returns:
    An array, or a list of arrays.

Example:
    >>> fn.depends(fn.array([1]), fn.array([2]))
    array([1], dtype=int32)
)");
}

}  // namespace funcnn
