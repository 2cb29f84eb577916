// Reading and writing parts: x[...], x.at[...].
#include "ops/index.h"

#include <algorithm>
#include <vector>

#include "bindings/array.h"
#include "bindings/interchange.h"
#include "ops/elementwise.h"

namespace funcnn {
namespace {

using Items = std::vector<IndexItem>;

IndexItem slice_item(PyObject* o) {
  Py_ssize_t start, stop, step;
  if (PySlice_Unpack(o, &start, &stop, &step) != 0) throw PendingError();
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
  if (!nested && PyIndex_Check(o) && !PyObject_CheckBuffer(o)) return IndexItem::integer(integer_of(o, "index"));
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

nb::object update_part(const ArrayAt& at, UpdateMode mode, nb::handle value) {
  if (!at.index.is_valid()) throw ValueError("x.at: say which part: x.at[index]");
  return wrap_object(update(mode, at.array, index_items(at.index.ptr()), value));
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
        if (!array_of(self).node()->rebindable)
          throw TypeError(
              "arrays are immutable: x[index] = value is not possible; use y = x.at[index].set(value), or .add, "
              ".multiply, .maximum, ...");
        Array result = update(UpdateMode::set, array_of(self), index_items(key), value);
        array_of(self) = std::move(result);
        return 0;
      },
      -1);
}

nb::object array_at(const Array& x) { return nb::cast(ArrayAt{x, nb::object()}); }

void bind_indexing(nb::module_& m) {
  nb::class_<ArrayAt> at(m, "ArrayAt", R"(A part of an array, to be replaced: `x.at[index]`.

The methods return a new array and leave `x` as it is. Where an index names an element several times,
each value takes its turn. Elements beyond the end are left out.

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
  for (const Method& method :
       {Method{"set", UpdateMode::set, "Replace the part."}, Method{"add", UpdateMode::add, "Add to the part."},
        Method{"subtract", UpdateMode::subtract, "Subtract from the part."},
        Method{"multiply", UpdateMode::multiply, "Multiply the part."},
        Method{"divide", UpdateMode::divide, "Divide the part."},
        Method{"maximum", UpdateMode::maximum, "Raise the part to at least these values."},
        Method{"minimum", UpdateMode::minimum, "Lower the part to at most these values."}})
    at.def(
        method.name,
        [mode = method.mode](const ArrayAt& self, nb::handle values) { return update_part(self, mode, values); },
        nb::arg("values"), nb::sig(cat("def ", method.name, "(self, values: ArrayLike) -> array").c_str()),
        method.summary);
}

}  // namespace funcnn
