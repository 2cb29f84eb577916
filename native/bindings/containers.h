// Trees as MLX knows them: lists, tuples and dicts, instances of subclasses among them, hold others; the rest are
// leaves. Dicts keep the order of insertion. What was taken apart can be put together again, or filled in where it is.
#pragma once

#include <vector>

#include "bindings/array.h"
#include "pytree/container.h"

namespace funcnn::containers {

enum class Mark : uint8_t {
  array,
  constant,  // a leaf that is no array; `object` has it
  other,     // the same, not looked at
  list,
  tuple,  // `object`: its class, unless it is tuple
  dict,   // each child comes after its key
  key,
};

struct Token {
  Mark mark = Mark::other;
  uint32_t count = 0;  // children
  nb::object object;
};

// What a tree is beside its arrays: its containers and other leaves in order.
class Outline {
 public:
  std::vector<Token> tokens;
  uint64_t hash = 0;

  void add(Mark mark, uint32_t count = 0, nb::object object = {}, uint64_t bits = 0);
  bool operator==(const Outline& other) const;
  int traverse(visitproc visit, void* arg) const;
};

// What becomes of leaves that are no arrays.
enum class Others : uint8_t {
  keep,     // constants, whatever they are
  compare,  // constants that can be compared: numbers, strings and None; others are refused
  ignore,
  refuse,
};

using Leaves = std::vector<nb::object>;

// `what` starts the errors. Keys that are hashed and attributes that are read may run Python code, which may change the
// tree: the arrays are held.
void take_apart(nb::handle tree, Others others, const char* what, Outline& outline, Leaves& arrays);

// Put a tree together, of plain lists and dicts. `next` gives an object for each array.
class Builder {
 public:
  explicit Builder(const Outline& outline) : outline_(outline) {}
  template <class F>
  nb::object build(F&& next);

 private:
  const Outline& outline_;
  size_t at_ = 0;
};

// An entry of a list or dict, and what it was.
struct Place {
  nb::object container, key;  // key: of a dict
  Py_ssize_t index = 0;
  nb::object before, after;

  nb::object now() const;  // may be null
  void set(const nb::object& value) const;
};

// Put `next(leaf)` in the place of every array of a tree. Tuples are made anew; the result is the tree itself unless it
// is one, or an array. `places`, if given, receives the entries that were changed.
template <class F>
nb::object fill(nb::handle tree, F&& next, std::vector<Place>* places = nullptr);

// The contents of the containers of a tree, to be put back.
class Snapshot {
 public:
  void add(nb::handle tree);
  void restore() const;

 private:
  struct Content {
    nb::object container, copy;
  };
  std::vector<Content> contents_;
};

// Instances of `type` stand for what their attribute `name` holds.
void set_stand_in(nb::handle type, const char* name);
// What a leaf stands for in this way; the leaf itself otherwise.
nb::object opened(nb::handle leaf);
bool is_stand_in(PyObject* leaf);

// A tuple of this class.
nb::object tuple_like(nb::handle type, nb::object items);

// ---- implementation

template <class F>
nb::object Builder::build(F&& next) {
  const Token& token = outline_.tokens[at_++];
  switch (token.mark) {
    case Mark::array:
      return next();
    case Mark::constant:
      return token.object;
    case Mark::list: {
      nb::object made = pytree::owned(PyList_New(Py_ssize_t(token.count)));
      for (uint32_t i = 0; i < token.count; ++i) pytree::fill_list(made.ptr(), i, build(next).release().ptr());
      return made;
    }
    case Mark::tuple: {
      nb::object made = pytree::owned(PyTuple_New(Py_ssize_t(token.count)));
      for (uint32_t i = 0; i < token.count; ++i) pytree::fill_tuple(made.ptr(), i, build(next).release().ptr());
      return token.object.is_valid() ? tuple_like(token.object, std::move(made)) : made;
    }
    case Mark::dict: {
      nb::object made = pytree::owned(PyDict_New());
      for (uint32_t i = 0; i < token.count; ++i) {
        const nb::object& key = outline_.tokens[at_++].object;
        if (PyDict_SetItem(made.ptr(), key.ptr(), build(next).ptr()) < 0) throw nb::python_error();
      }
      return made;
    }
    default:
      return nb::none();
  }
}

template <class F>
nb::object fill(nb::handle tree, F&& next, std::vector<Place>* places) {
  PyObject* object = tree.ptr();
  if (is_array(object)) return next(tree);
  pytree::RecursionGuard guard;
  if (PyList_Check(object)) {
    for (Py_ssize_t i = 0; i < PyList_Size(object); ++i) {
      nb::object before = nb::borrow(PyList_GetItem(object, i)), after = fill(before, next, places);
      if (after.is(before)) continue;
      Place place{nb::borrow(tree), {}, i, before, after};
      place.set(after);
      if (places) places->push_back(std::move(place));
    }
  } else if (PyDict_Check(object)) {
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(object, &position, &key, &value)) {
      nb::object before = nb::borrow(value), after = fill(before, next, places);
      if (after.is(before)) continue;
      if (PyDict_SetItem(object, key, after.ptr()) < 0) throw nb::python_error();
      if (places) places->push_back({nb::borrow(tree), nb::borrow(key), 0, before, after});
    }
  } else if (PyTuple_Check(object)) {
    Py_ssize_t count = PyTuple_Size(object);
    nb::object items;
    for (Py_ssize_t i = 0; i < count; ++i) {
      nb::object before = nb::borrow(PyTuple_GetItem(object, i)), after = fill(before, next, places);
      if (after.is(before)) continue;
      if (!items.is_valid()) {
        items = pytree::owned(PyTuple_New(count));
        for (Py_ssize_t k = 0; k < count; ++k)
          pytree::fill_tuple(items.ptr(), size_t(k), nb::borrow(PyTuple_GetItem(object, k)).release().ptr());
      }
      PyTuple_SetItem(items.ptr(), i, after.release().ptr());
    }
    if (items.is_valid())
      return PyTuple_CheckExact(object) ? items : tuple_like(nb::handle(Py_TYPE(object)), std::move(items));
  } else if (is_stand_in(object)) {
    fill(opened(tree), next, places);
  }
  return nb::borrow(tree);
}

}  // namespace funcnn::containers
