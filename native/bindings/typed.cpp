#include "bindings/typed.h"

#include <bit>

#include "pytree/container.h"

namespace funcnn {
namespace {

bool equal(nb::handle a, nb::handle b) {
  int answer = PyObject_RichCompareBool(a.ptr(), b.ptr(), Py_EQ);
  if (answer < 0) throw nb::python_error();
  return answer == 1;
}

bool same_bits(double a, double b) { return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b); }

bool same_items(nb::handle a, nb::handle b) {
  nb::object x = pytree::owned(PySequence_Tuple(a.ptr())), y = pytree::owned(PySequence_Tuple(b.ptr()));
  if (pytree::tuple_size(x.ptr()) != pytree::tuple_size(y.ptr())) return false;
  for (size_t i = 0; i < pytree::tuple_size(x.ptr()); ++i)
    if (!same_value(pytree::tuple_item(x.ptr(), i), pytree::tuple_item(y.ptr(), i))) return false;
  return true;
}

// Members of equal sets, or keys of equal dicts, in whatever order.
bool same_members(nb::handle a, nb::handle b) {
  nb::dict members;
  for (nb::handle member : b) members[member] = member;
  for (nb::handle member : a)
    if (!same_value(member, members[member])) return false;
  return true;
}

// Names of the fields that equality compares, of a dataclass or a class made by attrs; none for other objects.
nb::list compared_fields(nb::handle object) {
  nb::list names;
  nb::handle type(reinterpret_cast<PyObject*>(Py_TYPE(object.ptr())));
  if (nb::object fields = nb::getattr(type, "__attrs_attrs__", nb::none()); !fields.is_none()) {
    for (nb::handle field : fields)
      if (nb::cast<bool>(nb::bool_(field.attr("eq")))) names.append(field.attr("name"));
  } else if (nb::object by_name = nb::getattr(type, "__dataclass_fields__", nb::none()); !by_name.is_none()) {
    for (auto [name, field] : nb::borrow<nb::dict>(by_name))
      if (nb::cast<bool>(nb::bool_(field.attr("compare")))) names.append(name);
  }
  return names;
}

}  // namespace

bool same_value(nb::handle a, nb::handle b) {
  if (a.is(b)) return true;
  PyObject *x = a.ptr(), *y = b.ptr();
  if (Py_TYPE(x) != Py_TYPE(y)) return false;
  if (PyFloat_Check(x)) return same_bits(PyFloat_AsDouble(x), PyFloat_AsDouble(y));
  if (PyComplex_Check(x))
    return same_bits(PyComplex_RealAsDouble(x), PyComplex_RealAsDouble(y)) &&
           same_bits(PyComplex_ImagAsDouble(x), PyComplex_ImagAsDouble(y));
  if (PyUnicode_Check(x) || PyLong_Check(x) || PyBytes_Check(x)) return equal(a, b);
  pytree::RecursionGuard guard;
  if (PyTuple_CheckExact(x) || PyList_CheckExact(x)) return same_items(a, b);
  if (!equal(a, b)) return false;
  if (PyTuple_Check(x) || PyList_Check(x)) return same_items(a, b);
  if (PyAnySet_Check(x)) return same_members(a, b);
  if (PyDict_Check(x) || Py_TYPE(x) == reinterpret_cast<PyTypeObject*>(pytree::frozendict_type().ptr())) {
    if (!same_members(a, b)) return false;
    for (nb::handle key : a)
      if (!same_value(a[key], b[key])) return false;
    return true;
  }
  for (nb::handle name : compared_fields(a))
    if (!same_value(nb::getattr(a, name), nb::getattr(b, name))) return false;
  return true;
}

bool same_structure(const pytree::TreeDef& a, const pytree::TreeDef& b) {
  if (!(a == b)) return false;
  for (size_t i = 0; i < a.nodes().size(); ++i) {
    const pytree::Record *x = a.nodes()[i].record.get(), *y = b.nodes()[i].record.get();
    if (x == y || !x || !y) continue;
    if (x->keys.is_valid() && !x->str_keys && !same_value(x->keys, y->keys)) return false;
    if (x->metadata.is_valid() && !same_value(x->metadata, y->metadata)) return false;
  }
  return true;
}

}  // namespace funcnn
