// Reading and writing parts: x[...], x.at[...].
#include "ops/index.h"

#include <nanobind/stl/string.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "bindings/array.h"
#include "bindings/interchange.h"
#include "graph/trace.h"
#include "ops/elementwise.h"
#include "ops/rules.h"

namespace funcnn {
namespace {

using Items = std::vector<IndexItem>;

// A slice whose ends have no values has no length: if that is what failed, say what to use.
void refuse_traced_slice(PyObject* o) {
  for (const char* name : {"start", "stop", "step"}) {
    PyErr_Clear();
    nb::object end = nb::borrow(o).attr(name);
    if (is_array(end.ptr()) && array_of(end.ptr()).node()->abstract)
      throw_traced_value(*array_of(end.ptr()).node(), cat("x[start:stop]: the ", name, " of a slice decides the shape"),
                         "take a part of fixed length with fn.dynamic_slice(x, start_indices, slice_sizes), write one "
                         "with fn.dynamic_update_slice, or make the argument static");
  }
  Py_ssize_t start, stop, step;
  PySlice_Unpack(o, &start, &stop, &step);
}

IndexItem slice_item(PyObject* o) {
  Py_ssize_t start, stop, step;
  if (PySlice_Unpack(o, &start, &stop, &step) != 0) {
    if (PyErr_ExceptionMatches(PyExc_ValueError)) refuse_traced_slice(o);
    throw PendingError();
  }
  return IndexItem::slice(start, stop, step);
}

IndexItem index_item(PyObject* o) {
  if (PyLong_Check(o) && !PyBool_Check(o)) return IndexItem::integer(integer_of(o, "index"));
  if (PySlice_Check(o)) return slice_item(o);
  if (o == Py_None) return IndexItem::newaxis();
  if (o == Py_Ellipsis) return IndexItem::ellipsis();
  if (is_array(o)) return IndexItem::of(array_of(o));
  if (PyBool_Check(o)) return IndexItem::of(constant(int64_t(o == Py_True), Dtype::bool_));
  bool nested = PyList_Check(o) || PyTuple_Check(o);
  if (!nested && PyIndex_Check(o) && !is_foreign(o)) return IndexItem::integer(integer_of(o, "index"));
  if (nested || (!PyFloat_Check(o) && !PyUnicode_Check(o) && is_foreign(o))) {
    Array positions = as_array(o, "index");
    if (positions.size() == 0 && !is_integer(positions.dtype()) && positions.dtype() != Dtype::bool_)
      positions = astype(positions, Dtype::int32);
    if (positions.ndim() == 0 && PyIndex_Check(o) && is_integer(positions.dtype()))
      return IndexItem::integer(integer_of(o, "index"));
    return IndexItem::of(std::move(positions));
  }
  throw IndexError(cat("index: expected integers, slices, Ellipsis, None, lists or arrays, got ", nb::repr(o).c_str()));
}

Items index_items(PyObject* index) {
  Items items;
  if (!PyTuple_Check(index)) {
    items.push_back(index_item(index));
    return items;
  }
  Py_ssize_t count = PyTuple_Size(index);
  items.reserve(size_t(count));
  for (Py_ssize_t i = 0; i < count; ++i) items.push_back(index_item(PyTuple_GetItem(index, i)));
  return items;
}

// Masks as positions. How many there are depends on values, so they are computed here.
void settle_masks(Items& items) {
  bool any = false;
  for (const IndexItem& item : items)
    if (item.kind == IndexItem::Kind::mask) {
      evaluate(item.array, "indexing with a mask");
      any = true;
    }
  if (any) items = resolve_masks(items);
}

Array update(UpdateMode mode, const Array& x, Items items, nb::handle value) {
  Array values = as_operand(value, x.dtype(), "x.at[...]");
  // A flag that is known takes the whole or nothing, as NumPy's; one that is not chooses.
  bool known = std::any_of(items.begin(), items.end(), [](const IndexItem& item) {
    return item.kind == IndexItem::Kind::mask && item.array.ndim() == 0 && item.array.node()->available();
  });
  if (known || !takes_mask(items)) {
    settle_masks(items);
  } else if (counts_mask(x, items, values)) {
    // Wrong numbers are told here, unless the mask has no value yet.
    for (const IndexItem& item : items)
      if (item.kind == IndexItem::Kind::mask && !item.array.node()->abstract)
        evaluate(item.array, "indexing with a mask");
  }
  return update_at(mode, x, items, values);
}

// x.at and x.at[index].
struct ArrayAt {
  Array array;
  nb::object index;
};

const nb::object& indexed(const ArrayAt& at) {
  if (!at.index.is_valid()) throw ValueError("x.at: say which part: x.at[index]");
  return at.index;
}

nb::object update_part(const ArrayAt& at, UpdateMode mode, nb::handle value) {
  return wrap_object(update(mode, at.array, index_items(indexed(at).ptr()), value));
}

// Integers as index arrays, which may be out of range.
Items lenient(Items items) {
  for (IndexItem& item : items)
    if (item.kind == IndexItem::Kind::integer) item = IndexItem::of(constant(item.value, Dtype::int64));
  return items;
}

// What JAX reads beyond the end.
Array default_fill(Dtype dtype) {
  return visit_dtype(dtype, [&](auto tag) -> Array {
    using T = typename decltype(tag)::type;
    if constexpr (!std::is_integral_v<T>) {
      return constant(std::numeric_limits<double>::quiet_NaN(), dtype);
    } else {
      T value = std::is_signed_v<T> ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max();
      return scalar_array(&value, dtype);
    }
  });
}

Array read_part(const ArrayAt& at, nb::handle mode, nb::handle fill_value) {
  const char* name = "x.at[...].get";
  Items items = index_items(indexed(at).ptr());
  settle_masks(items);
  if (mode.is_none() && fill_value.is_none()) return index(at.array, items);
  std::string chosen = mode.is_none() ? "fill" : nb::cast<std::string>(mode);
  if (chosen != "fill" && chosen != "clip")
    throw ValueError(cat(name, ": expected mode 'fill' or 'clip', got '", chosen, "'"));
  if (chosen == "clip" && !fill_value.is_none())
    throw ValueError(cat(name, ": with mode 'clip' nothing is filled, so fill_value has no meaning"));
  items = lenient(std::move(items));
  if (chosen == "clip") return index(at.array, items, true);
  Dtype dtype = at.array.dtype();
  Array fill = fill_value.is_none() ? default_fill(dtype) : astype(as_operand(fill_value, dtype, name), dtype);
  if (fill.ndim() != 0) throw ValueError(cat(name, ": fill_value must be one number, got shape ", fill.shape()));
  // Where an index is out of range, nothing is read from an array of True.
  Array inside = index(full(at.array.shape(), constant(int64_t(1), Dtype::bool_)), items);
  return where(inside, index(at.array, items), fill);
}

Array apply_to_part(const ArrayAt& at, nb::handle function) {
  if (!PyCallable_Check(function.ptr()))
    throw TypeError(cat("x.at[...].apply: function must be a function, got ", nb::inst_name(function).c_str()));
  Items items = index_items(indexed(at).ptr());
  auto apply = [&](const Array& part) {
    return as_operand(function(wrap_object(part)), part.dtype(), "x.at[...].apply");
  };
  // A mask without values: apply the function everywhere and choose.
  auto unknown = [](const IndexItem& item) {
    return item.kind == IndexItem::Kind::mask && item.array.node()->abstract;
  };
  if (takes_mask(items) && std::any_of(items.begin(), items.end(), unknown)) {
    Array none = full(at.array.shape(), constant(int64_t(0), Dtype::bool_));
    Array chosen = update_at(UpdateMode::set, none, items, constant(int64_t(1), Dtype::bool_));
    return where(chosen, astype(apply(at.array), at.array.dtype()), at.array);
  }
  settle_masks(items);
  return update_at(UpdateMode::set, at.array, items, apply(index(at.array, items)));
}

struct Method {
  const char* name;
  UpdateMode mode;
  const char* summary;
};

}  // namespace

PyObject* get_item(PyObject* self, PyObject* key) {
  return guarded([&]() -> PyObject* {
    if (PyLong_CheckExact(key)) return get_row(self, Py_ssize_t(integer_of(key, "index")));
    Items items = index_items(key);
    settle_masks(items);
    return wrap(index(array_of(self), items));
  });
}

PyObject* get_row(PyObject* self, Py_ssize_t row) {
  return guarded([&] {
    const IndexItem items[] = {IndexItem::integer(row)};
    return wrap(index(array_of(self), items));
  });
}

int set_item(PyObject* self, PyObject* key, PyObject* value) {
  return guarded(
      [&]() -> int {
        if (!value) throw TypeError("elements of an array cannot be deleted");
        if (!is_mutable(self))
          throw TypeError(
              "arrays are immutable: x[index] = value is not possible; use y = x.at[index].set(value), or .add, "
              ".multiply, .maximum, ...");
        Array result = update(UpdateMode::set, array_of(self), index_items(key), value);
        point(self, std::move(result));
        return 0;
      },
      -1);
}

nb::object array_at(const Array& x) { return nb::cast(ArrayAt{x, nb::object()}); }

void bind_indexing(nb::module_& m) {
  nb::class_<ArrayAt> at(m, "ArrayAt", R"(A part of an array, to be replaced: `x.at[index]`.

The methods return a new array and leave `x` as it is. Where an index names an element several times,
each value takes its turn. Elements beyond the end are left out. Values are converted to the dtype of `x`.

Example:
    >>> x = fn.zeros(3)
    >>> x.at[1].set(5)
    array([0., 5., 0.], dtype=float32)
    >>> x.at[fn.array([0, 0, 2])].add(1)
    array([2., 0., 1.], dtype=float32)
)");
  at.def(
      "__getitem__", [](const ArrayAt& self, nb::handle index) { return ArrayAt{self.array, nb::borrow(index)}; },
      nb::arg("index").none(), nb::sig("def __getitem__(self, index: Any, /) -> ArrayAt"));
  at.def(
      "get",
      [](const ArrayAt& self, nb::handle mode, nb::handle fill_value) {
        return wrap_object(read_part(self, mode, fill_value));
      },
      nb::kw_only(), nb::arg("mode").none() = nb::none(), nb::arg("fill_value").none() = nb::none(),
      nb::sig("def get(self, *, mode: Literal['fill', 'clip'] | None = None, fill_value: ArrayLike | None = None) -> "
              "array"),
      R"(Read the part, and say what stands for elements out of range.

Args:
    mode: 'fill' puts `fill_value` where an index is out of range, integers included; 'clip' takes
        the nearest element. Default: 'fill' if there is a `fill_value`, otherwise what `x[index]` does.
    fill_value: One number, converted to the dtype of `x`. Default: NaN for floats, the smallest integer
        of a signed dtype, the largest of an unsigned one, True.

Raises:
    ValueError: for another mode, or a `fill_value` with 'clip'.

Example:
    >>> x = fn.array([1.0, 2.0, 3.0])
    >>> x.at[fn.array([0, 7])].get(mode="fill", fill_value=-1)
    array([ 1., -1.], dtype=float32)
    >>> x.at[fn.array([0, 7])].get(mode="clip")
    array([1., 3.], dtype=float32)
)");
  at.def(
      "apply", [](const ArrayAt& self, nb::handle function) { return wrap_object(apply_to_part(self, function)); },
      nb::arg("function"), nb::sig("def apply(self, function: Callable[[array], ArrayLike]) -> array"),
      R"(Replace the part by a function of it.

The function should work element by element. An element that the index names several times is still
replaced once. Through a mask that is traced, the function is applied to all elements and the mask
chooses.

Example:
    >>> fn.array([1.0, 4.0, 9.0]).at[1:].apply(fn.sqrt)
    array([1., 2., 3.], dtype=float32)
)");
  for (const Method& method :
       {Method{"set", UpdateMode::set, "Replace the part."}, Method{"add", UpdateMode::add, "Add to the part."},
        Method{"subtract", UpdateMode::subtract, "Subtract from the part."},
        Method{"multiply", UpdateMode::multiply, "Multiply the part."},
        Method{"divide", UpdateMode::divide, "Divide the part."},
        Method{"power", UpdateMode::power, "Raise the part to these powers."},
        Method{"maximum", UpdateMode::maximum, "Raise the part to at least these values."},
        Method{"minimum", UpdateMode::minimum, "Lower the part to at most these values."}})
    at.def(
        method.name,
        [mode = method.mode](const ArrayAt& self, nb::handle values) { return update_part(self, mode, values); },
        nb::arg("values"), nb::sig(cat("def ", method.name, "(self, values: ArrayLike) -> array").c_str()),
        method.summary);
}

}  // namespace funcnn
