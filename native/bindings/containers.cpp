#include "bindings/containers.h"

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace funcnn::containers {
namespace {

struct StandIn {
  PyObject *type = nullptr, *attribute = nullptr;  // for ever
};
StandIn stand_in;

uint64_t mixed(uint64_t hash, uint64_t bits) {
  hash = (hash ^ bits) * 0x9e3779b97f4a7c15ull;
  return hash ^ (hash >> 29);
}

uint64_t hash_of(nb::handle object) {
  Py_hash_t hash = PyObject_Hash(object.ptr());
  if (hash == -1) throw nb::python_error();
  return uint64_t(hash);
}

// Whether a constant can be compared, and a number that equal ones share.
bool comparable(nb::handle leaf, uint64_t& bits) {
  PyObject* object = leaf.ptr();
  if (object == Py_None || PyBool_Check(object))
    bits = uint64_t(reinterpret_cast<uintptr_t>(object));
  else if (PyFloat_Check(object))
    bits = std::bit_cast<uint64_t>(PyFloat_AsDouble(object));
  else if (PyLong_Check(object) || PyUnicode_Check(object))
    bits = hash_of(leaf);
  else
    return false;
  return true;
}

// Python code that hashes keys may do anything.
void check_walk(bool whole) {
  if (!whole) throw ValueError("a container has changed while it was walked");
}

// By type and value; floats by their bits.
bool same_constant(nb::handle a, nb::handle b) {
  if (a.is(b)) return true;
  if (Py_TYPE(a.ptr()) != Py_TYPE(b.ptr())) return false;
  if (PyFloat_Check(a.ptr()))
    return std::bit_cast<uint64_t>(PyFloat_AsDouble(a.ptr())) == std::bit_cast<uint64_t>(PyFloat_AsDouble(b.ptr()));
  if (!PyLong_Check(a.ptr()) && !PyUnicode_Check(a.ptr())) return false;
  int equal = PyObject_RichCompareBool(a.ptr(), b.ptr(), Py_EQ);
  if (equal < 0) throw nb::python_error();
  return equal != 0;
}

}  // namespace

void Outline::add(Mark mark, uint32_t count, nb::object object, uint64_t bits) {
  hash = mixed(hash, uint64_t(mark) << 32 | count);
  if (bits) hash = mixed(hash, bits);
  tokens.push_back({mark, count, std::move(object)});
}

bool Outline::operator==(const Outline& other) const {
  return hash == other.hash && tokens.size() == other.tokens.size() &&
         std::equal(tokens.begin(), tokens.end(), other.tokens.begin(), [](const Token& a, const Token& b) {
           if (a.mark != b.mark || a.count != b.count) return false;
           if (a.object.is(b.object)) return true;
           if (!a.object.is_valid() || !b.object.is_valid()) return false;
           if (a.mark == Mark::constant) return same_constant(a.object, b.object);
           if (a.mark != Mark::key) return false;
           int equal = PyObject_RichCompareBool(a.object.ptr(), b.object.ptr(), Py_EQ);
           if (equal < 0) throw nb::python_error();
           return equal != 0;
         });
}

int Outline::traverse(visitproc visit, void* arg) const {
  for (const Token& token : tokens)
    if (PyObject* object = token.object.ptr())
      if (int stop = visit(object, arg)) return stop;
  return 0;
}

void take_apart(nb::handle tree, Others others, const char* what, Outline& outline, Leaves& arrays) {
  PyObject* object = tree.ptr();
  if (is_array(object)) {
    arrays.push_back(nb::borrow(tree));
    outline.add(Mark::array);
    return;
  }
  pytree::RecursionGuard guard;
  if (PyList_Check(object)) {
    Py_ssize_t count = PyList_Size(object), seen = 0;
    outline.add(Mark::list, uint32_t(count));
    for (; seen < PyList_Size(object); ++seen)
      take_apart(nb::borrow(PyList_GetItem(object, seen)), others, what, outline, arrays);
    check_walk(seen == count);
  } else if (PyTuple_Check(object)) {
    Py_ssize_t count = PyTuple_Size(object);
    nb::object type = PyTuple_CheckExact(object) ? nb::object() : nb::borrow(nb::handle(Py_TYPE(object)));
    uint64_t bits = uint64_t(reinterpret_cast<uintptr_t>(type.ptr()));
    outline.add(Mark::tuple, uint32_t(count), std::move(type), bits);
    for (Py_ssize_t i = 0; i < count; ++i) take_apart(PyTuple_GetItem(object, i), others, what, outline, arrays);
  } else if (PyDict_Check(object)) {
    Py_ssize_t count = PyDict_Size(object), seen = 0;
    outline.add(Mark::dict, uint32_t(count));
    PyObject *key, *value;
    Py_ssize_t position = 0;
    for (; PyDict_Next(object, &position, &key, &value); ++seen) {
      nb::object kept = nb::borrow(key), child = nb::borrow(value);
      uint64_t bits = hash_of(kept);
      outline.add(Mark::key, 0, std::move(kept), bits);
      take_apart(child, others, what, outline, arrays);
    }
    check_walk(seen == count);
  } else if (others == Others::ignore) {
    if (is_stand_in(object))
      take_apart(opened(tree), others, what, outline, arrays);
    else
      outline.add(Mark::other);
  } else {
    uint64_t bits = 0;
    if (others == Others::refuse)
      throw ValueError(cat(what, ": expected a tree of arrays, got a leaf of type ", nb::inst_name(tree).c_str()));
    if (others == Others::compare && !comparable(tree, bits))
      throw ValueError(cat(what,
                           ": arguments must be trees of arrays and of constants (numbers, strings, None), got a ",
                           nb::inst_name(tree).c_str()));
    outline.add(Mark::constant, 0, nb::borrow(tree), bits);
  }
}

nb::object Place::now() const {
  PyObject* found = key.is_valid()                         ? PyDict_GetItemWithError(container.ptr(), key.ptr())
                    : index < PyList_Size(container.ptr()) ? PyList_GetItem(container.ptr(), index)
                                                           : nullptr;
  if (!found && PyErr_Occurred()) throw nb::python_error();
  return nb::borrow(found);
}

void Place::set(const nb::object& value) const {
  int failed = key.is_valid() ? PyDict_SetItem(container.ptr(), key.ptr(), value.ptr())
                              : PyList_SetItem(container.ptr(), index, nb::object(value).release().ptr());
  if (failed < 0) throw nb::python_error();
}

void Snapshot::add(nb::handle tree) {
  PyObject* object = tree.ptr();
  pytree::RecursionGuard guard;
  auto known = [&] {
    return std::any_of(contents_.begin(), contents_.end(), [&](const Content& c) { return c.container.is(tree); });
  };
  if (PyList_Check(object)) {
    if (known()) return;
    contents_.push_back({nb::borrow(tree), pytree::owned(PyList_GetSlice(object, 0, PyList_Size(object)))});
    for (Py_ssize_t i = 0; i < PyList_Size(object); ++i) add(PyList_GetItem(object, i));
  } else if (PyTuple_Check(object)) {
    for (Py_ssize_t i = 0; i < PyTuple_Size(object); ++i) add(PyTuple_GetItem(object, i));
  } else if (PyDict_Check(object)) {
    if (known()) return;
    nb::object copy = pytree::owned(PyDict_Copy(object));
    contents_.push_back({nb::borrow(tree), copy});
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(copy.ptr(), &position, &key, &value)) add(value);
  } else if (is_stand_in(object)) {
    add(opened(tree));
  }
}

void Snapshot::restore() const {
  for (const Content& content : contents_) {
    PyObject* object = content.container.ptr();
    if (PyList_Check(object)) {
      if (PyList_SetSlice(object, 0, PyList_Size(object), content.copy.ptr()) < 0) throw nb::python_error();
    } else {
      PyDict_Clear(object);
      if (PyDict_Update(object, content.copy.ptr()) < 0) throw nb::python_error();
    }
  }
}

void set_stand_in(nb::handle type, const char* name) {
  stand_in = {nb::borrow(type).release().ptr(), nb::str(name).release().ptr()};
}
bool is_stand_in(PyObject* leaf) {
  return stand_in.type && reinterpret_cast<PyObject*>(Py_TYPE(leaf)) == stand_in.type;
}
nb::object opened(nb::handle leaf) {
  if (!is_stand_in(leaf.ptr())) return nb::borrow(leaf);
  return pytree::owned(PyObject_GetAttr(leaf.ptr(), stand_in.attribute));
}

nb::object tuple_like(nb::handle type, nb::object items) {
  bool named = PyObject_HasAttrString(type.ptr(), "_fields") == 1;
  return named ? pytree::owned(PyObject_CallObject(type.ptr(), items.ptr())) : type(items);
}

}  // namespace funcnn::containers
