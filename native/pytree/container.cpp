#include "pytree/container.h"

#include <cmath>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/small_vector.h"
#include "pytree/dict_order.h"
#include "pytree/frozendict.h"
#include "pytree/pattern.h"

namespace funcnn::pytree {
namespace {

// Everything that lives as long as the interpreter; emptied at exit, while destructors may still run Python code.
struct Globals {
  nb::ft_mutex mutex;
  std::unordered_map<PyObject*, Ref<const Registration>> registry;
  nb::object absent;
  nb::object fields_name;
};
Globals& globals() {
  static Globals& instance = *new Globals;
  return instance;
}

// Append the values in insertion order and return the keys, borrowed.
using Borrowed = SmallVector<PyObject*, 64>;
Borrowed read_dict(PyObject* dict, Leaves& values) {
  Borrowed keys;
  size_t size = size_t(PyDict_Size(dict));
  keys.reserve(size);
  make_room(values, size);
  PyObject *key, *value;
  Py_ssize_t position = 0;
  while (PyDict_Next(dict, &position, &key, &value)) {
    keys.push_back(key);
    values.push_back(nb::borrow(value));
  }
  return keys;
}

// Bring the last values into the canonical order.
void permute(Leaves& values, size_t base, const std::vector<uint32_t>& sorted) {
  SmallVector<PyObject*, 64> inserted;
  inserted.reserve(sorted.size());
  for (size_t i = 0; i < sorted.size(); ++i) inserted.push_back(values[base + i].release().ptr());
  for (size_t i = 0; i < sorted.size(); ++i) values[base + i] = nb::steal(inserted[sorted[i]]);
}

// Append the values in canonical order if the keys are those of `order`, in the order of their insertion.
bool read_as(PyObject* dict, const DictOrder& order, Leaves& values) {
  const size_t base = values.size(), count = order.inserted.size();
  if (size_t(PyDict_Size(dict)) != count) return false;
  make_room(values, count);
  values.resize(base + count);
  PyObject *key, *value;
  Py_ssize_t position = 0;
  for (size_t i = 0; i < count && PyDict_Next(dict, &position, &key, &value); ++i) {
    if (key != order.inserted[i].ptr()) {
      values.resize(base);
      return false;
    }
    values[base + (order.places.empty() ? i : order.places[i])] = nb::borrow(value);
  }
  return true;
}

void expand_dict(PyObject* dict, Leaves& values, Ref<const Record>& record) {
  size_t base = values.size();
  nb::ft_object_guard guard(dict);
  if (size_t(PyDict_Size(dict)) >= kManyKeys) {
    const Ref<const DictOrder> last = last_order();
    if (last && read_as(dict, *last, values)) {
      record = last->record;
      return;
    }
  }
  Borrowed keys = read_dict(dict, values);
  Ref<const DictOrder> order = find_order(keys);
  if (!order->sorted.empty()) permute(values, base, order->sorted);
  record = order->record;
}

void expand_frozendict(PyObject* object, Leaves& values, Ref<const Record>& record) {
  size_t base = values.size();
  nb::ft_object_guard guard(object);
  PyObject* dict = frozendict_dict(object);
  FrozenOrder known = frozen_order(object);
  if (!known.record) {
    Borrowed keys = read_dict(dict, values);
    Ref<const DictOrder> order = find_order(keys);
    if (!order->sorted.empty()) permute(values, base, order->sorted);
    record = order->record;
    set_frozen_order(object, order->record, order->sorted.empty() ? Ref<const DictOrder>() : order);
    return;
  }
  PyObject *key, *value;
  Py_ssize_t position = 0;
  while (PyDict_Next(dict, &position, &key, &value)) values.push_back(nb::borrow(value));
  if (known.order) permute(values, base, known.order->sorted);
  record = known.record;
}

void expand_ordered_dict(PyObject* object, Leaves& values, Ref<const Record>& record) {
  nb::object items = owned(PyObject_CallMethod(object, "items", nullptr));
  auto made = make_ref<Record>();
  nb::list keys;
  for (nb::handle item : items) {
    keys.append(item[0]);
    values.push_back(nb::object(item[1]));
  }
  made->keys = nb::tuple(keys);
  made->type = nb::borrow(nb::handle(object).type());
  record = std::move(made);
}

void expand_default_dict(PyObject* object, Leaves& values, Ref<const Record>& record) {
  Ref<const Record> plain;
  expand_dict(object, values, plain);
  auto made = make_ref<Record>();
  made->keys = plain->keys;
  made->str_keys = plain->str_keys;
  made->type = nb::borrow(nb::handle(object).type());
  made->metadata = nb::object(nb::handle(object).attr("default_factory"));
  record = std::move(made);
}

Ref<const Record> record_of_attrs(const Registration& registration, Objects constants) {
  auto made = make_ref<Record>();
  made->registration = &registration;
  made->type = registration.type;
  made->metadata = tuple_of(constants);
  return made;
}

void expand_attrs(PyObject* object, const Registration& registration, Leaves& values, Ref<const Record>& record) {
  auto append = [&](const nb::object& names, Leaves& to) {
    for (size_t i = 0, count = tuple_size(names.ptr()); i < count; ++i)
      to.push_back(owned(PyObject_GetAttr(object, tuple_item(names.ptr(), i))));
  };
  append(registration.fields, values);
  record = registration.record;
  if (record) return;
  Leaves constants;
  append(registration.static_fields, constants);
  record = record_of_attrs(registration, view(constants));
}

void expand_custom(PyObject* object, const Registration& registration, Leaves& values, Ref<const Record>& record) {
  PyObject* args[] = {nullptr, object};
  nb::object parts =
      owned(PyObject_Vectorcall(registration.flatten.ptr(), args + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
  if (!PyTuple_Check(parts.ptr()) || PyTuple_Size(parts.ptr()) != 2) {
    PyErr_Format(PyExc_TypeError, "the flatten function of %R must return (children, metadata), got %R",
                 registration.type.ptr(), parts.ptr());
    throw nb::python_error();
  }
  nb::object children = owned(PySequence_Tuple(tuple_item(parts.ptr(), 0)));
  for (size_t i = 0; i < tuple_size(children.ptr()); ++i) values.push_back(nb::borrow(tuple_item(children.ptr(), i)));
  auto made = make_ref<Record>();
  made->registration = &registration;
  made->type = registration.type;
  made->metadata = nb::borrow(tuple_item(parts.ptr(), 1));
  record = std::move(made);
}

void set_items(PyObject* dict, PyObject* keys, auto value) {
  for (size_t i = 0, count = tuple_size(keys); i < count; ++i)
    if (PyDict_SetItem(dict, tuple_item(keys, i), value(i)) < 0) throw nb::python_error();
}

nb::object outline_of(const Record& record) {
  Globals& g = globals();
  {
    nb::ft_lock_guard lock(g.mutex);
    if (record.outline.is_valid()) return record.outline;
  }
  nb::object made = owned(PyDict_New());
  set_items(made.ptr(), record.keys.ptr(), [](size_t) { return Py_None; });
  nb::ft_lock_guard lock(g.mutex);
  if (!record.outline.is_valid()) record.outline = made;
  return made;
}

// Filling in a copy of a dict that has the keys already saves finding places for them, and growing.
nb::object build_dict(const Record& record, Objects values) {
  constexpr size_t kFew = 5;  // as many as fit into a new dict
  const bool fill = record.str_keys && values.size() > kFew;
  nb::object dict = owned(fill ? PyDict_Copy(outline_of(record).ptr()) : PyDict_New());
  set_items(dict.ptr(), record.keys.ptr(), [&](size_t i) { return values[i].ptr(); });
  return dict;
}

nb::object call(const nb::object& function, Objects items) {
  SmallVector<PyObject*, 16> args;
  args.reserve(items.size() + 1);
  args.push_back(nullptr);
  for (nb::handle item : items) args.push_back(item.ptr());
  return owned(
      PyObject_Vectorcall(function.ptr(), args.data() + 1, items.size() | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
}

// An instance made without __init__: its fields may hold anything that a leaf may be.
nb::object build_attrs(const Record& record, Objects values) {
  auto* type = reinterpret_cast<PyTypeObject*>(record.type.ptr());
  auto* make = reinterpret_cast<newfunc>(PyType_GetSlot(type, Py_tp_new));
  nb::tuple no_args;
  nb::object object = owned(make(type, no_args.ptr(), nullptr));
  auto set = [&](const nb::object& names, size_t i, PyObject* value) {
    if (PyObject_GenericSetAttr(object.ptr(), tuple_item(names.ptr(), i), value) < 0) throw nb::python_error();
  };
  const Registration& registration = *record.registration;
  for (size_t i = 0; i < values.size(); ++i) set(registration.fields, i, values[i].ptr());
  for (size_t i = 0; i < tuple_size(record.metadata.ptr()); ++i)
    set(registration.static_fields, i, tuple_item(record.metadata.ptr(), i));
  for (size_t i = 0; i < tuple_size(registration.caches.ptr()); ++i) set(registration.caches, i, Py_None);
  return object;
}

void add_registration(Ref<Registration> registration) {
  Globals& g = globals();
  PyObject* type = registration->type.ptr();
  if (!PyType_Check(type)) {
    PyErr_Format(PyExc_TypeError, "only a class can be registered as a tree node, got %R", type);
    throw nb::python_error();
  }
  bool known = type == (PyObject*)&PyDict_Type || type == (PyObject*)&PyTuple_Type || type == (PyObject*)&PyList_Type ||
               type == frozendict_type().ptr() || type == (PyObject*)Py_TYPE(Py_None);
  if (!known) {
    nb::ft_lock_guard lock(g.mutex);
    known = !g.registry.emplace(type, std::move(registration)).second;
  }
  if (known) {
    PyErr_Format(PyExc_ValueError, "%R is a tree node already", type);
    throw nb::python_error();
  }
}

// A singleton that prints and pickles by its name.
nb::object make_absent() {
  static PyMethodDef methods[] = {
      {"__reduce__", [](PyObject*, PyObject*) { return PyUnicode_FromString("absent"); }, METH_NOARGS, nullptr},
      {nullptr, nullptr, 0, nullptr},
  };
  static reprfunc repr = [](PyObject*) { return PyUnicode_FromString("absent"); };
  static PyType_Slot slots[] = {
      {Py_tp_repr, reinterpret_cast<void*>(repr)},
      {Py_tp_methods, methods},
      {Py_tp_doc, const_cast<char*>("What stands in a part of a tree for what was left out: a node without leaves.")},
      {0, nullptr},
  };
  static PyType_Spec spec = {"funcnn.tree.Absent", int(sizeof(PyObject)), 0, Py_TPFLAGS_DEFAULT, slots};
  nb::object type = owned(PyType_FromSpec(&spec));
  auto* alloc = reinterpret_cast<allocfunc>(PyType_GetSlot(reinterpret_cast<PyTypeObject*>(type.ptr()), Py_tp_alloc));
  return owned(alloc(reinterpret_cast<PyTypeObject*>(type.ptr()), 0));
}

}  // namespace

nb::object tuple_of(Objects items) {
  nb::object tuple = owned(PyTuple_New(Py_ssize_t(items.size())));
  for (size_t i = 0; i < items.size(); ++i) fill_tuple(tuple.ptr(), i, nb::borrow(items[i]).release().ptr());
  return tuple;
}

nb::object list_of(Leaves items) {
  nb::object list = owned(PyList_New(Py_ssize_t(items.size())));
  for (size_t i = 0; i < items.size(); ++i) fill_list(list.ptr(), i, items[i].release().ptr());
  return list;
}

Ref<const DictOrder> order_of(PyObject* dict) {
  nb::ft_object_guard guard(dict);
  Leaves values;
  return find_order(read_dict(dict, values));
}

Class classify(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  if (type == &PyDict_Type) return {Kind::Dict};
  if (type == &PyTuple_Type) return {Kind::Tuple};
  if (type == &PyList_Type) return {Kind::List};
  if (is_frozendict(object)) return {Kind::FrozenDict};
  if (object == Py_None) return {Kind::None};
  Globals& g = globals();
  if (object == g.absent.ptr()) return {Kind::Absent};
  if (const Registration* found = find_registration(reinterpret_cast<PyObject*>(type))) return {found->kind, found};
  if (PyTuple_Check(object)) {
    PyObject* fields = PyObject_GetAttr(reinterpret_cast<PyObject*>(type), g.fields_name.ptr());
    if (!fields) PyErr_Clear();
    bool named = fields && PyTuple_Check(fields);
    Py_XDECREF(fields);
    if (named) return {Kind::NamedTuple};
  }
  return {Kind::Leaf};
}

void expand(PyObject* object, Class cls, Leaves& values, Ref<const Record>& record) {
  switch (cls.kind) {
    case Kind::Leaf:
    case Kind::None:
    case Kind::Absent:
      return;
    case Kind::NamedTuple: {
      auto made = make_ref<Record>();
      made->type = nb::borrow(nb::handle(object).type());
      record = std::move(made);
      [[fallthrough]];
    }
    case Kind::Tuple:
      make_room(values, tuple_size(object));
      for (size_t i = 0, n = tuple_size(object); i < n; ++i) values.push_back(nb::borrow(tuple_item(object, i)));
      return;
    case Kind::List: {
      nb::ft_object_guard guard(object);
      make_room(values, list_size(object));
      for (size_t i = 0, n = list_size(object); i < n; ++i) values.push_back(nb::borrow(list_item(object, i)));
      return;
    }
    case Kind::Dict:
      return expand_dict(object, values, record);
    case Kind::FrozenDict:
      return expand_frozendict(object, values, record);
    case Kind::DefaultDict:
      return expand_default_dict(object, values, record);
    case Kind::OrderedDict:
      return expand_ordered_dict(object, values, record);
    case Kind::Attrs:
      return expand_attrs(object, *cls.registration, values, record);
    case Kind::Custom:
      return expand_custom(object, *cls.registration, values, record);
  }
}

nb::object build(Kind kind, const Record* record, Objects children) {
  switch (kind) {
    case Kind::Leaf:
      return nb::borrow(children[0]);
    case Kind::None:
      return nb::none();
    case Kind::Absent:
      return absent();
    case Kind::Tuple:
      return tuple_of(children);
    case Kind::List: {
      nb::object list = owned(PyList_New(Py_ssize_t(children.size())));
      for (size_t i = 0; i < children.size(); ++i) fill_list(list.ptr(), i, nb::borrow(children[i]).release().ptr());
      return list;
    }
    case Kind::Dict:
      return build_dict(*record, children);
    case Kind::FrozenDict:
      return make_frozendict(build_dict(*record, children), record);
    case Kind::DefaultDict:
      return record->type(record->metadata, build_dict(*record, children));
    case Kind::OrderedDict: {
      nb::object dict = record->type();
      for (size_t i = 0; i < children.size(); ++i)
        if (PyObject_SetItem(dict.ptr(), tuple_item(record->keys.ptr(), i), children[i].ptr()) < 0)
          throw nb::python_error();
      return dict;
    }
    case Kind::NamedTuple:
      return call(record->type, children);
    case Kind::Attrs:
      return build_attrs(*record, children);
    case Kind::Custom: {
      nb::object items = tuple_of(children);
      nb::handle parts[] = {record->metadata, items};
      return call(record->registration->unflatten, parts);
    }
  }
  return nb::none();
}

nb::object key_of(const Node& node, size_t child) {
  const Record* record = node.record.get();
  if (is_dict(node.kind)) return nb::borrow(tuple_item(record->keys.ptr(), child));
  if (node.kind == Kind::NamedTuple) return nb::object(nb::object(record->type.attr("_fields"))[child]);
  if (node.kind == Kind::Attrs) return nb::borrow(tuple_item(record->registration->fields.ptr(), child));
  if (node.kind == Kind::Custom && !record->registration->keys.is_none()) {
    nb::object keys = record->registration->keys;
    if (PyCallable_Check(keys.ptr())) keys = keys(record->metadata);
    return nb::object(keys[child]);
  }
  return nb::int_(child);
}

namespace {

bool records_match(const Record* a, const Record* b, bool (*equal)(nb::handle, nb::handle)) {
  if (a == b) return true;
  if (!a || !b || !a->type.is(b->type) || a->registration != b->registration) return false;
  auto both = [&](const nb::object& x, const nb::object& y) { return x.is(y) || (x && y && equal(x, y)); };
  if (!both(a->keys, b->keys)) return false;
  try {
    return both(a->metadata, b->metadata);
  } catch (nb::python_error& error) {
    refuse_metadata(error, *a);
  }
}

bool values_equal(nb::handle a, nb::handle b) {
  int result = PyObject_RichCompareBool(a.ptr(), b.ptr(), Py_EQ);
  if (result < 0) throw nb::python_error();
  return result == 1;
}

}  // namespace

void refuse_metadata(nb::python_error& error, const Record& record) {
  if (!error.matches(PyExc_Exception)) throw error;
  nb::raise_from(error, PyExc_TypeError,
                 "the static data of %R are part of a tree's structure, so they must be hashable and comparable: %s",
                 record.type.ptr(), nb::str(error.value()).c_str());
}

bool same_value(nb::handle a, nb::handle b) {
  if (a.is(b)) return true;
  if (Py_TYPE(a.ptr()) != Py_TYPE(b.ptr())) return false;
  auto same_float = [](double x, double y) { return x == y && std::signbit(x) == std::signbit(y); };
  if (PyFloat_Check(a.ptr())) return same_float(PyFloat_AsDouble(a.ptr()), PyFloat_AsDouble(b.ptr()));
  if (PyComplex_Check(a.ptr()))
    return same_float(PyComplex_RealAsDouble(a.ptr()), PyComplex_RealAsDouble(b.ptr())) &&
           same_float(PyComplex_ImagAsDouble(a.ptr()), PyComplex_ImagAsDouble(b.ptr()));
  if (!values_equal(a, b)) return false;
  if (PyTuple_Check(a.ptr())) {
    RecursionGuard guard;
    for (Py_ssize_t i = 0, n = PyTuple_Size(a.ptr()); i < n; ++i)
      if (!same_value(PyTuple_GetItem(a.ptr(), i), PyTuple_GetItem(b.ptr(), i))) return false;
  }
  return true;
}

bool records_equal(const Record* a, const Record* b) { return records_match(a, b, values_equal); }
bool records_same(const Record* a, const Record* b) { return records_match(a, b, same_value); }

const Registration* find_registration(PyObject* type) {
  Globals& g = globals();
  nb::ft_lock_guard lock(g.mutex);
  auto found = g.registry.find(type);
  return found == g.registry.end() ? nullptr : found->second.get();
}

int traverse_record(const Record* record, uint32_t owners, visitproc visit, void* arg) {
  // Others keep what they share alive, and the collector may count a reference once only.
  if (!record || record->use_count() != owners) return 0;
  Py_VISIT(record->keys.ptr());
  Py_VISIT(record->outline.ptr());
  Py_VISIT(record->type.ptr());
  Py_VISIT(record->metadata.ptr());
  return 0;
}

namespace {
// Below what a thread's stack of half a megabyte holds.
constexpr int kDeepest = 2000;
thread_local int depth_ = 0;
}  // namespace

bool RecursionGuard::enter() {
  if (Py_EnterRecursiveCall(" while walking a pytree")) return false;
  if (depth_ < kDeepest) return ++depth_;
  Py_LeaveRecursiveCall();
  PyErr_Format(PyExc_RecursionError, "a pytree may be %d levels deep at most", kDeepest);
  return false;
}

void RecursionGuard::leave() {
  --depth_;
  Py_LeaveRecursiveCall();
}

nb::object absent() { return globals().absent; }

void register_node(nb::handle type, nb::handle flatten, nb::handle unflatten, nb::handle keys) {
  auto registration = make_ref<Registration>();
  registration->type = nb::borrow(type);
  registration->flatten = nb::borrow(flatten);
  registration->unflatten = nb::borrow(unflatten);
  registration->keys = nb::borrow(keys);
  add_registration(std::move(registration));
}

void register_attrs(nb::handle type, nb::handle fields, nb::handle static_fields, nb::handle caches) {
  auto registration = make_ref<Registration>();
  registration->kind = Kind::Attrs;
  registration->type = nb::borrow(type);
  registration->fields = nb::tuple(nb::borrow(fields));
  registration->static_fields = nb::tuple(nb::borrow(static_fields));
  registration->caches = nb::tuple(nb::borrow(caches));
  if (tuple_size(registration->static_fields.ptr()) == 0) registration->record = record_of_attrs(*registration, {});
  try {
    add_registration(registration);
  } catch (...) {
    registration->record = nullptr;  // they hold each other
    throw;
  }
}

void initialise(nb::module_& m) {
  Globals& g = globals();
  g.fields_name = nb::steal(PyUnicode_InternFromString("_fields"));
  initialise_frozendict(m);
  g.absent = make_absent();
  nb::object collections = nb::module_::import_("collections");
  for (auto [name, kind] : {std::pair{"OrderedDict", Kind::OrderedDict}, std::pair{"defaultdict", Kind::DefaultDict}}) {
    auto registration = make_ref<Registration>();
    registration->kind = kind;
    registration->type = collections.attr(name);
    add_registration(std::move(registration));
  }
  nb::module_::import_("atexit").attr("register")(nb::cpp_function([] {
    clear_cache();
    Globals& g = globals();
    decltype(g.registry) old;
    nb::ft_lock_guard lock(g.mutex);
    std::swap(old, g.registry);
    for (const auto& [type, registration] : old) registration->record = nullptr;
  }));
}

}  // namespace funcnn::pytree
