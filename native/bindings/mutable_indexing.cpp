// The indices of MLX. They differ from NumPy's, which funcnn.array has: masks are for assignment only, NumPy's arrays
// and tuples within tuples are refused, integers out of range read zeros and write nothing, everything that is wrong is
// a ValueError, and values are assigned to parts whose axes are laid out without regard to integers.
#include <algorithm>
#include <array>
#include <vector>

#include "bindings/imported.h"
#include "bindings/interchange.h"
#include "bindings/mutable.h"
#include "bindings/sequence.h"
#include "graph/trace.h"
#include "ops/elementwise.h"
#include "ops/rules.h"
#include "ops/views.h"

namespace funcnn {
namespace {

using Kind = IndexItem::Kind;
using Items = std::vector<IndexItem>;

constexpr std::array<int64_t, 1> kFirst{0};

[[noreturn]] void refuse(PyObject* o) {
  throw ValueError(cat("index: expected integers, slices, None, ..., lists or arrays of integers, got ",
                       python_type(nb::handle(o))));
}

IndexItem integer_item(int64_t value) {
  if (value != int32_t(value)) throw ValueError(cat("index: the integer ", value, " does not fit 32 bits"));
  return IndexItem::integer(value);
}

IndexItem slice_item(PyObject* o) {
  Py_ssize_t start, stop, step;
  if (PySlice_Unpack(o, &start, &stop, &step) == 0) return IndexItem::slice(start, stop, step);
  if (!PyErr_ExceptionMatches(PyExc_TypeError)) throw PendingError();
  PyErr_Clear();
  throw ValueError("index: the ends and the step of a slice are integers or None");
}

IndexItem array_item(Array positions) {
  if (!is_integer(positions.dtype()) && positions.dtype() != Dtype::bool_)
    throw ValueError(cat("index: expected an array of integers, got ", positions.dtype()));
  return IndexItem::of(std::move(positions));
}

IndexItem list_item(PyObject* o) {
  try {
    return array_item(as_array(o, "index"));
  } catch (const TypeError& e) {
    throw ValueError(e.what());
  }
}

// What stands between the brackets, or (`within`) in a tuple there.
IndexItem item_of(PyObject* o, bool within) {
  if (PyLong_Check(o) && !PyBool_Check(o)) return integer_item(integer_of(o, "index"));
  if (PySlice_Check(o)) return slice_item(o);
  if (o == Py_None) return IndexItem::newaxis();
  if (o == Py_Ellipsis) return IndexItem::ellipsis();
  if (is_array(o)) return array_item(with_weakness(array_of(o), false));
  if (PyList_Check(o)) return list_item(o);
  if (PyBool_Check(o) && !within) return IndexItem::of(constant(int64_t(o == Py_True), Dtype::bool_));
  if (PyBool_Check(o) || PyTuple_Check(o)) refuse(o);
  // NumPy's integers and arrays without axes count as integers, and so do its bools before version 2.3; of its other
  // arrays, only masks are taken.
  static constinit Imported numpy_bool("numpy", "bool_");
  if (PyIndex_Check(o) && reinterpret_cast<PyObject*>(Py_TYPE(o)) != numpy_bool.get()) {
    if (nb::object number = nb::steal(PyNumber_Index(o)); number.is_valid())
      return integer_item(integer_of(number, "index"));
    PyErr_Clear();
  }
  if (!within && nb::hasattr(o, "__array_interface__")) {
    Array mask = as_array(o, "index");
    if (mask.dtype() == Dtype::bool_) return IndexItem::of(std::move(mask));
  }
  refuse(o);
}

// The items of an index.
struct Index {
  Items items;
  bool arrays = false, masks = false, integers = false;

  Index(const Array& x, PyObject* key) {
    if (PyTuple_Check(key)) {
      Py_ssize_t count = PyTuple_Size(key);
      items.reserve(size_t(count));
      for (Py_ssize_t i = 0; i < count; ++i) items.push_back(item_of(PyTuple_GetItem(key, i), true));
    } else {
      items.push_back(item_of(key, false));
    }
    size_t covered = 0, ellipses = 0;
    for (const IndexItem& item : items) {
      arrays |= item.kind == Kind::array;
      masks |= item.kind == Kind::mask;
      integers |= item.kind == Kind::integer;
      ellipses += item.kind == Kind::ellipsis;
      covered += axes_of(item);
    }
    if (covered > x.ndim())
      throw ValueError(cat("index: ", covered, " axes are indexed, the array has ", x.ndim(), ", shape ", x.shape()));
    if (ellipses > 1) throw ValueError("index: more than one ellipsis (...)");
    // An ellipsis for no axes does not keep arrays apart.
    if (ellipses && covered == x.ndim())
      std::erase_if(items, [](const IndexItem& item) { return item.kind == Kind::ellipsis; });
  }

  static size_t axes_of(const IndexItem& item) {
    if (item.kind == Kind::newaxis || item.kind == Kind::ellipsis) return 0;
    return item.kind == Kind::mask ? item.array.ndim() : 1;
  }

  // The axis of x at which an item stands.
  size_t axis_of(const Array& x, size_t i) const {
    size_t before = 0, behind = 0;
    bool ellipsis = false;
    for (size_t k = 0; k < items.size(); ++k) {
      (k < i ? before : behind) += axes_of(items[k]);
      ellipsis |= k < i && items[k].kind == Kind::ellipsis;
    }
    return ellipsis ? x.ndim() - behind : before;
  }

  bool outside(const Array& x, size_t i) const {
    if (items[i].kind != Kind::integer) return false;
    int64_t length = x.shape()[axis_of(x, i)];
    return items[i].value < -length || items[i].value >= length;
  }
};

void refuse_masks(const Index& index) {
  if (index.masks)
    throw ValueError(
        "index: masks of bools are for assignment, x[mask] = v; what they select has no known shape: use mx.where");
}

Array row(const Array& x, int64_t at) {
  if (x.ndim() == 0) throw ValueError("index: too many indices: the array has no axes");
  int64_t length = x.shape()[0];
  if (at >= -length && at < length) {
    const IndexItem items[] = {IndexItem::integer(at)};
    return index(x, items);
  }
  if (length == 0) throw ValueError(cat("index: nothing can be taken from an axis of length 0, shape ", x.shape()));
  if (at != int32_t(at)) throw ValueError(cat("index: the integer ", at, " does not fit 32 bits"));
  return full(Shape(x.shape().begin() + 1, x.shape().end()), constant(int64_t(0), x.dtype()));
}

// What is assigned, of x's dtype where it is no array.
Array assigned(nb::handle value, const Array& x) {
  PyObject* o = value.ptr();
  if (is_array(o)) return beside(array_of(o), x.dtype());
  Array made;
  if (is_number(o) && convert_scalar(o, x.dtype(), made)) return made;
  if (o == Py_None) throw TypeError("x[index] = value: expected an array or a number, got None");
  if (!PyList_Check(o) && !PyTuple_Check(o) && !is_text(o) && is_foreign(o)) return beside_array(value, x, "x[index]");
  throw ValueError(cat("x[index] = value: expected an array or a number, got ", python_type(value)));
}

// `values` for the part of x in MLX's layout, in which integers do not keep arrays apart, moved into that of NumPy.
Array arranged(const Array& values, const Array& x, const Index& index) {
  auto stays = [](Kind kind) { return kind == Kind::slice || kind == Kind::newaxis || kind == Kind::ellipsis; };
  auto split = [&](auto counts) {  // whether axes that stay stand between the first and the last of those
    bool seen = false, gap = false;
    for (const IndexItem& item : index.items) {
      if (counts(item.kind) && gap) return true;
      seen |= counts(item.kind);
      gap |= seen && stays(item.kind);
    }
    return false;
  };
  auto is_array = [](Kind kind) { return kind == Kind::array; };
  auto is_advanced = [](Kind kind) { return kind == Kind::array || kind == Kind::integer; };
  if (split(is_array) || !split(is_advanced)) return values;
  Shape common;
  size_t before = 0, kept = 0, covered = 0;
  bool seen = false;
  for (const IndexItem& item : index.items) covered += Index::axes_of(item);
  for (const IndexItem& item : index.items) {
    if (item.kind == Kind::array) {
      common = broadcast_shapes("index", common, item.array.shape());
      seen = true;
    }
    size_t axes = item.kind == Kind::ellipsis ? x.ndim() - covered : size_t(stays(item.kind));
    kept += axes;
    before += seen ? 0 : axes;
  }
  bool ellipsis = std::any_of(index.items.begin(), index.items.end(),
                              [](const IndexItem& item) { return item.kind == Kind::ellipsis; });
  if (!ellipsis) kept += x.ndim() - covered;
  size_t rank = kept + common.size();
  Shape shape = values.shape();
  while (shape.size() > rank && shape[0] == 1) shape.erase(shape.begin());
  if (shape.size() > rank) return values;  // which does not fit, as update_at says
  while (shape.size() < rank) shape.insert(shape.begin(), 1);
  SmallVector<int64_t, 4> order;
  for (size_t i = 0; i < common.size(); ++i) order.push_back(int64_t(before + i));
  for (size_t i = 0; i < rank; ++i)
    if (i < before || i >= before + common.size()) order.push_back(int64_t(i));
  return transpose(reshape(values, shape), order);
}

bool is_whole(PyObject* key) { return key == Py_Ellipsis || key == Py_None; }

bool are_whole(PyObject* keys) {
  if (!PyTuple_Check(keys)) return false;
  for (Py_ssize_t i = 0; i < PyTuple_Size(keys); ++i)
    if (!is_whole(PyTuple_GetItem(keys, i))) return false;
  return true;
}

// x[...] = values: the one assignment after which x has the dtype of the values.
Array updated_whole(UpdateMode mode, const Array& x, Array values) {
  Shape shape = values.shape();
  while (shape.size() > x.ndim() && shape[0] == 1) shape.erase(shape.begin());
  return combined(mode, x, broadcast_to(reshape(values, shape), x.shape()));
}

Array updated_by_mask(const Array& array, Array mask, const Array& values) {
  // A mask without axes takes the array whole or not at all.
  bool whole = mask.ndim() == 0;
  Array x = whole ? expand_dims(array, kFirst) : array;
  if (whole) mask = expand_dims(mask, kFirst);
  bool fits = mask.ndim() <= x.ndim();
  for (size_t i = 0; fits && i < mask.ndim(); ++i) fits = mask.shape()[i] == x.shape()[i];
  if (!fits)
    throw ValueError(cat("x[mask] = value: the mask, of shape ", mask.shape(),
                         ", must have the shape of the array's first axes, shape ", array.shape()));
  size_t trail = x.ndim() - mask.ndim();
  const IndexItem items[] = {IndexItem::of(mask)};
  Array made;
  if (values.ndim() <= trail) {
    made = update_at(UpdateMode::set, x, items, values);
  } else if (values.ndim() == trail + 1) {
    made = fill_masked(x, mask, values);
  } else {
    throw ValueError(cat("x[mask] = value: the value, of shape ", values.shape(), ", must broadcast to the last ",
                         trail, " axes of the array, or have one axis more for the true elements in turn; shapes ",
                         array.shape(), " and ", mask.shape()));
  }
  return whole ? reshape(made, array.shape()) : made;
}

// Masks as positions. How many there are depends on values, so they are computed here.
Items settled(const Items& items) {
  for (const IndexItem& item : items)
    if (item.kind == Kind::mask) evaluate(item.array, "indexing with a mask");
  return resolve_masks(items);
}

template <class F>
auto with_value_errors(F&& body) {
  try {
    return body();
  } catch (const IndexError& e) {
    throw ValueError(e.what());
  }
}

// x.at and x.at[index].
struct MutableAt {
  Array array;
  nb::object index;
};

struct Method {
  const char* name;
  UpdateMode mode;
  const char* summary;
};

}  // namespace

Array read_part(const Array& x, PyObject* key) {
  return with_value_errors([&] {
    if (PyLong_CheckExact(key)) return row(x, integer_of(key, "index"));
    const IndexItem whole[] = {IndexItem::newaxis()};
    if (key == Py_None) return index(x, whole);
    Index parsed(x, key);
    refuse_masks(parsed);
    // Beside arrays, an integer out of range is like an element of theirs that is.
    for (size_t i = 0; parsed.arrays && parsed.integers && i < parsed.items.size(); ++i)
      if (parsed.outside(x, i)) parsed.items[i] = IndexItem::of(constant(parsed.items[i].value, Dtype::int64));
    return index(x, parsed.items);
  });
}

Array updated_part(UpdateMode mode, const Array& x, PyObject* key, nb::handle value) {
  return with_value_errors([&] {
    Array values = assigned(value, x);
    if (is_whole(key) || (x.ndim() == 0 && are_whole(key))) return updated_whole(mode, x, values);
    Index parsed(x, key);
    for (size_t i = 0; parsed.integers && i < parsed.items.size(); ++i)
      if (parsed.outside(x, i)) return x;
    if (parsed.masks) {
      if (parsed.items.size() == 1 && mode == UpdateMode::set)
        return updated_by_mask(x, parsed.items[0].array, astype(values, x.dtype()));
      return update_at(mode, x, settled(parsed.items), values);
    }
    if (parsed.arrays && parsed.integers) values = arranged(values, x, parsed);
    return update_at(mode, x, parsed.items, values);
  });
}

PyObject* get_mutable_item(PyObject* self, PyObject* key) {
  return guarded([&] {
    Array part = read_part(array_of(self), key);
    return wrap(part.node()->rebindable ? std::move(part) : with_rebindable(std::move(part), true));
  });
}

int set_mutable_item(PyObject* self, PyObject* key, PyObject* value) {
  return guarded(
      [&] {
        if (!value) throw TypeError("elements of an array cannot be deleted");
        point(self, updated_part(UpdateMode::set, array_of(self), key, value));
        return 0;
      },
      -1);
}

PyObject* iterate_mutable(PyObject* self) {
  return guarded([&] {
    const Array& x = array_of(self);
    if (x.ndim() == 0) throw TypeError("iter(): an array of no axes cannot be iterated over");
    // Over what the array is now, wherever the loop points it.
    return PySeqIter_New(wrap_object(x).ptr());
  });
}

nb::object mutable_at(const Array& x) { return nb::cast(MutableAt{x, nb::object()}); }

void bind_mutable_at(nb::module_& m) {
  nb::class_<MutableAt> at(m, "mutable_array_at", R"(A part of an array, to be updated: `x.at[index]`.

The methods return a new array and leave `x` as it is. Where an index names an element several times, each
value takes its turn, whereas after `x[index] += v` only one of them has.

Example:
    >>> import funcnn.compat.core as mx
    >>> mx.zeros(3).at[mx.array([0, 0, 2])].add(1)
    array([2, 0, 1], dtype=float32)
)");
  at.def(
      "__getitem__", [](const MutableAt& self, nb::handle index) { return MutableAt{self.array, nb::borrow(index)}; },
      nb::arg("indices").none(), nb::sig("def __getitem__(self, indices: Any, /) -> mutable_array_at"));
  for (const Method& method : {Method{"add", UpdateMode::add, "Add to the part."},
                               Method{"subtract", UpdateMode::subtract, "Subtract from the part."},
                               Method{"multiply", UpdateMode::multiply, "Multiply the part."},
                               Method{"divide", UpdateMode::divide, "Divide the part."},
                               Method{"maximum", UpdateMode::maximum, "Raise the part to at least these values."},
                               Method{"minimum", UpdateMode::minimum, "Lower the part to at most these values."}})
    at.def(
        method.name,
        [mode = method.mode](const MutableAt& self, nb::handle value) {
          if (!self.index.is_valid()) throw ValueError("x.at: say which part: x.at[index]");
          return with_rebindable(updated_part(mode, self.array, self.index.ptr(), value), true);
        },
        nb::arg("value").none(), nb::sig(cat("def ", method.name, "(self, value: ArrayLike) -> mutable_array").c_str()),
        method.summary);
}

}  // namespace funcnn
