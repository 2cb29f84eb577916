// One container: what class of node an object is, its children in canonical order, and how to build it again.
#pragma once

#include <algorithm>
#include <memory>

#include "pytree/pytree.h"

namespace funcnn::pytree {

struct Record;

// How instances of one class are taken apart. Lives for ever once registered, together with its class.
struct Registration : RefCounted {
  Kind kind = Kind::Custom;
  nb::object type;
  nb::object flatten, unflatten, keys;  // Custom
  nb::object fields, static_fields;     // Attrs: tuples of names
  nb::object caches;                    // Attrs: names of attributes that __init__ sets to None
  mutable Ref<const Record> record;     // Attrs without static fields: that of all instances
};

// What a node of a structure knows about its container beside its kind.
struct Record : RefCounted {
  nb::object keys;        // dicts: a tuple in canonical order
  bool str_keys = false;  // they are all exact strings, and there are some
  // Dicts of many keys: one like them without its values, of which they are copies. Made when it is first needed.
  mutable nb::object outline;
  nb::object type;      // namedtuples, registered classes
  nb::object metadata;  // registered classes: static data; defaultdict: the default factory
  Ref<const Registration> registration;
};

// The order of the keys of a dict as they were inserted, and the sorted one.
struct DictOrder : RefCounted {
  std::vector<nb::object> inserted;
  std::vector<uint32_t> sorted;  // canonical position -> position of insertion; empty if they agree
  std::vector<uint32_t> places;  // the other way round
  Ref<const Record> record;
};

struct Class {
  Kind kind;
  const Registration* registration = nullptr;
};

Class classify(PyObject* object);
// See to it that so many more objects fit, without making many small steps slow.
inline void make_room(Leaves& objects, size_t more) {
  if (objects.capacity() - objects.size() < more)
    objects.reserve(std::max(objects.size() + more, 2 * objects.capacity()));
}
// Append the children of a container, owned, in canonical order; `record` receives what is needed to build it again.
void expand(PyObject* object, Class cls, Leaves& children, Ref<const Record>& record);
// A container of this kind from its children.
nb::object build(Kind kind, const Record* record, Objects children);
// Key of a child: str, int or whatever the dict was keyed with.
nb::object key_of(const Node& node, size_t child);
// Equal in the sense of ==, and of `same_value`.
bool records_equal(const Record* a, const Record* b);
bool records_same(const Record* a, const Record* b);
// Say that the static data of a node cannot be hashed or compared.
[[noreturn]] void refuse_metadata(nb::python_error& error, const Record& record);
// How instances of a class are taken apart; null if it is not registered.
const Registration* find_registration(PyObject* type);
// Visit the objects of a record that has this many owners among those being visited.
int traverse_record(const Record* record, uint32_t owners, visitproc visit, void* arg);

inline bool is_dict(Kind kind) { return kind >= Kind::Dict && kind <= Kind::OrderedDict; }
inline bool is_sequence(Kind kind) { return kind == Kind::Tuple || kind == Kind::List; }

// Raise RecursionError before the C stack overflows, also where Python's own limit was raised.
class RecursionGuard {
 public:
  RecursionGuard() {
    if (!enter()) throw nb::python_error();
  }
  ~RecursionGuard() { leave(); }
  RecursionGuard(const RecursionGuard&) = delete;
  RecursionGuard& operator=(const RecursionGuard&) = delete;

  // For functions that may not throw: false with a Python error set.
  static bool enter();
  static void leave();
};

inline nb::object owned(PyObject* result) {
  if (!result) throw nb::python_error();
  return nb::steal(result);
}
// Items of exact tuples and lists: checked calls only where the stable ABI has nothing else.
#ifdef Py_LIMITED_API
inline PyObject* tuple_item(PyObject* tuple, size_t i) { return PyTuple_GetItem(tuple, Py_ssize_t(i)); }
inline size_t tuple_size(PyObject* tuple) { return size_t(PyTuple_Size(tuple)); }
inline PyObject* list_item(PyObject* list, size_t i) { return PyList_GetItem(list, Py_ssize_t(i)); }
inline size_t list_size(PyObject* list) { return size_t(PyList_Size(list)); }
inline void fill_tuple(PyObject* tuple, size_t i, PyObject* item) { PyTuple_SetItem(tuple, Py_ssize_t(i), item); }
inline void fill_list(PyObject* list, size_t i, PyObject* item) { PyList_SetItem(list, Py_ssize_t(i), item); }
#else
inline PyObject* tuple_item(PyObject* tuple, size_t i) { return PyTuple_GET_ITEM(tuple, Py_ssize_t(i)); }
inline size_t tuple_size(PyObject* tuple) { return size_t(PyTuple_GET_SIZE(tuple)); }
inline PyObject* list_item(PyObject* list, size_t i) { return PyList_GET_ITEM(list, Py_ssize_t(i)); }
inline size_t list_size(PyObject* list) { return size_t(PyList_GET_SIZE(list)); }
inline void fill_tuple(PyObject* tuple, size_t i, PyObject* item) { PyTuple_SET_ITEM(tuple, Py_ssize_t(i), item); }
inline void fill_list(PyObject* list, size_t i, PyObject* item) { PyList_SET_ITEM(list, Py_ssize_t(i), item); }
#endif

nb::object tuple_of(Objects items);
nb::object list_of(Leaves items);  // moves them out

}  // namespace funcnn::pytree
