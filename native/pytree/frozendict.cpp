#include "pytree/frozendict.h"

#include <cstddef>
#include <utility>

namespace funcnn::pytree {
namespace {

struct FrozenDict {
  PyObject_HEAD PyObject* dict;
  Py_hash_t hash;          // -1: not computed yet
  const Record* record;    // owned; null until a tree walk needs it
  const DictOrder* order;  // owned; null if the keys were inserted in sorted order
};

PyObject* type_ = nullptr;
bool builtin_ = false;  // the type is Python's own

FrozenDict* cast(PyObject* self) { return reinterpret_cast<FrozenDict*>(self); }

// The dict inside an instance of the type or of a subclass; null for anything else, whatever its __class__ says.
PyObject* inner(PyObject* object) {
  return PyObject_TypeCheck(object, reinterpret_cast<PyTypeObject*>(type_)) ? cast(object)->dict : nullptr;
}

// Ends a RecursionGuard::enter that succeeded.
struct Leaving {
  ~Leaving() { RecursionGuard::leave(); }
};

PyObject* wrap(PyObject* type, PyObject* dict) {
  if (!dict) return nullptr;
  auto* alloc = reinterpret_cast<allocfunc>(PyType_GetSlot(reinterpret_cast<PyTypeObject*>(type), Py_tp_alloc));
  PyObject* self = alloc(reinterpret_cast<PyTypeObject*>(type), 0);
  if (!self) {
    Py_DECREF(dict);
    return nullptr;
  }
  cast(self)->dict = dict;
  cast(self)->hash = -1;
  return self;
}

PyObject* frozen_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  bool plain = !kwargs || PyDict_Size(kwargs) == 0;
  if (PyTuple_Size(args) == 1) {
    PyObject* source = PyTuple_GetItem(args, 0);
    if (plain && reinterpret_cast<PyObject*>(type) == type_ && reinterpret_cast<PyObject*>(Py_TYPE(source)) == type_) {
      Py_INCREF(source);
      return source;
    }
    if (PyObject* dict = inner(source)) {
      dict = PyDict_Copy(dict);
      if (dict && !plain && PyDict_Update(dict, kwargs) < 0) Py_CLEAR(dict);
      return wrap(reinterpret_cast<PyObject*>(type), dict);
    }
  }
  return wrap(reinterpret_cast<PyObject*>(type),
              PyObject_Call(reinterpret_cast<PyObject*>(&PyDict_Type), args, kwargs));
}

int frozen_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(cast(self)->dict);
  const DictOrder* order = cast(self)->order;
  if (order && order->use_count() != 1) return 0;
  if (order)
    for (const nb::object& key : order->inserted) Py_VISIT(key.ptr());
  return traverse_record(cast(self)->record, order ? 2 : 1, visit, arg);
}

// The dict stays, for it breaks cycles itself and others may still read it.
int frozen_clear(PyObject* self) {
  Ref<const Record> record = std::exchange(cast(self)->record, nullptr);
  Ref<const DictOrder> order = std::exchange(cast(self)->order, nullptr);
  if (record) record->release();
  if (order) order->release();
  return 0;
}

void frozen_dealloc(PyObject* self) {
  PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(self));
  PyObject_GC_UnTrack(self);
  frozen_clear(self);
  Py_CLEAR(cast(self)->dict);
  auto* free = reinterpret_cast<freefunc>(PyType_GetSlot(reinterpret_cast<PyTypeObject*>(type), Py_tp_free));
  free(self);
  Py_DECREF(type);
}

// The pending "unhashable type" with the key of the value it is about.
void name_unhashable(PyObject* dict) {
  if (!PyErr_ExceptionMatches(PyExc_TypeError)) return;
  PyObject *type, *error, *traceback, *key, *value;
  PyErr_Fetch(&type, &error, &traceback);
  for (Py_ssize_t i = 0; PyDict_Next(dict, &i, &key, &value);) {
    if (PyObject_Hash(value) != -1 || !PyErr_Occurred()) continue;
    PyErr_Clear();
    PyObject* text = error ? PyObject_Str(error) : nullptr;
    if (text) PyErr_Format(type, "frozendict: the value of %R cannot be hashed: %U", key, text);
    Py_XDECREF(text);
    break;
  }
  if (!PyErr_Occurred()) return PyErr_Restore(type, error, traceback);
  Py_XDECREF(type);
  Py_XDECREF(error);
  Py_XDECREF(traceback);
}

Py_hash_t frozen_hash(PyObject* self) {
  FrozenDict* frozen = cast(self);
  if (frozen->hash != -1) return frozen->hash;
  if (!RecursionGuard::enter()) return -1;
  Leaving leaving;
  PyObject* items = PyObject_CallMethod(frozen->dict, "items", nullptr);
  PyObject* set = items ? PyFrozenSet_New(items) : nullptr;
  Py_XDECREF(items);
  if (!set) {
    name_unhashable(frozen->dict);
    return -1;
  }
  Py_hash_t hash = PyObject_Hash(set);
  Py_DECREF(set);
  return frozen->hash = hash;
}

PyObject* frozen_repr(PyObject* self) {
  if (PyDict_Size(cast(self)->dict) == 0) return PyUnicode_FromString("frozendict()");
  int entered = Py_ReprEnter(self);
  if (entered != 0) return entered > 0 ? PyUnicode_FromString("frozendict({...})") : nullptr;
  bool entered_deeper = RecursionGuard::enter();
  PyObject* text = entered_deeper ? PyUnicode_FromFormat("frozendict(%R)", cast(self)->dict) : nullptr;
  if (entered_deeper) RecursionGuard::leave();
  Py_ReprLeave(self);
  return text;
}

// Parameters are read by key; who looks for an attribute instead is told so.
PyObject* frozen_getattro(PyObject* self, PyObject* name) {
  PyObject* found = PyObject_GenericGetAttr(self, name);
  if (found || !PyErr_ExceptionMatches(PyExc_AttributeError)) return found;
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  if (PyDict_Contains(cast(self)->dict, name) != 1) {
    PyErr_Clear();
    PyErr_Restore(type, value, traceback);
    return nullptr;
  }
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(traceback);
  PyErr_Format(PyExc_AttributeError, "'frozendict' object has no attribute %R: it is a key, as in params[%R]", name,
               name);
  return nullptr;
}

PyObject* frozen_compare(PyObject* self, PyObject* other, int op) {
  PyObject* dict = PyDict_Check(other) ? other : inner(other);
  if (!dict || (op != Py_EQ && op != Py_NE)) Py_RETURN_NOTIMPLEMENTED;
  if (!RecursionGuard::enter()) return nullptr;
  Leaving leaving;
  return PyObject_RichCompare(cast(self)->dict, dict, op);
}

PyObject* frozen_or(PyObject* left, PyObject* right) {
  PyObject* a = inner(left);
  PyObject* b = inner(right);
  if (!(a || PyDict_Check(left)) || !(b || PyDict_Check(right))) Py_RETURN_NOTIMPLEMENTED;
  PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(a ? left : right));
  PyObject* dict = PyDict_Copy(a ? a : left);
  if (dict && PyDict_Update(dict, b ? b : right) < 0) Py_CLEAR(dict);
  return wrap(type, dict);
}

// KeyError, whose text names keys that are there.
void refuse_key(PyObject* self, PyObject* key) {
  PyObject* module = PyUnicode_Check(key) ? PyImport_ImportModule("funcnn.tree._missing") : nullptr;
  PyObject* shown = module ? PyObject_CallMethod(module, "Missing", "OO", key, self) : nullptr;
  Py_XDECREF(module);
  PyErr_Clear();
  PyErr_SetObject(PyExc_KeyError, shown ? shown : key);
  Py_XDECREF(shown);
}

PyObject* frozen_getitem(PyObject* self, PyObject* key) {
  PyObject* value = PyDict_GetItemWithError(cast(self)->dict, key);
  if (value)
    Py_INCREF(value);
  else if (!PyErr_Occurred())
    refuse_key(self, key);
  return value;
}
Py_ssize_t frozen_length(PyObject* self) { return PyDict_Size(cast(self)->dict); }
int frozen_contains(PyObject* self, PyObject* key) { return PyDict_Contains(cast(self)->dict, key); }
PyObject* frozen_iter(PyObject* self) { return PyObject_GetIter(cast(self)->dict); }

int refuse_item(PyObject*, PyObject* key, PyObject* value) {
  if (value)
    PyErr_Format(PyExc_TypeError,
                 "a frozendict cannot be changed: write `d | {%R: value}`, or tree.set(d, path, value) for a nested "
                 "one, to get a new one",
                 key);
  else
    PyErr_Format(PyExc_TypeError,
                 "a frozendict cannot be changed: build a new one without %R, "
                 "frozendict((k, v) for k, v in d.items() if k != %R)",
                 key, key);
  return -1;
}

PyObject* refuse(PyObject*, PyObject*, PyObject*) {
  PyErr_SetString(PyExc_TypeError,
                  "a frozendict cannot be changed: `d | other` and tree.set(d, path, value) return a new one, "
                  "dict(d) a dict that can be changed");
  return nullptr;
}

template <const char* name>
PyObject* forward(PyObject* self, PyObject*) {
  return PyObject_CallMethod(cast(self)->dict, name, nullptr);
}
constexpr char kKeys[] = "keys", kValues[] = "values", kItems[] = "items", kReversed[] = "__reversed__";

PyObject* frozen_get(PyObject* self, PyObject* args) {
  PyObject *key, *fallback = Py_None;
  if (!PyArg_ParseTuple(args, "O|O:get", &key, &fallback)) return nullptr;
  PyObject* value = PyDict_GetItemWithError(cast(self)->dict, key);
  if (!value && PyErr_Occurred()) return nullptr;
  if (!value) value = fallback;
  Py_INCREF(value);
  return value;
}

PyObject* frozen_copy(PyObject* self, PyObject*) {
  Py_INCREF(self);
  return self;
}

PyObject* frozen_deepcopy(PyObject* self, PyObject* memo) {
  PyObject* module = PyImport_ImportModule("copy");
  PyObject* dict = module ? PyObject_CallMethod(module, "deepcopy", "OO", cast(self)->dict, memo) : nullptr;
  Py_XDECREF(module);
  return wrap(reinterpret_cast<PyObject*>(Py_TYPE(self)), dict);
}

PyObject* frozen_reduce(PyObject* self, PyObject*) {
  PyObject* dict = PyDict_Copy(cast(self)->dict);
  return dict ? Py_BuildValue("O(N)", reinterpret_cast<PyObject*>(Py_TYPE(self)), dict) : nullptr;
}

PyObject* frozen_fromkeys(PyObject* type, PyObject* args) {
  PyObject* method = PyObject_GetAttrString(reinterpret_cast<PyObject*>(&PyDict_Type), "fromkeys");
  PyObject* dict = method ? PyObject_Call(method, args, nullptr) : nullptr;
  Py_XDECREF(method);
  return wrap(type, dict);
}

PyCFunction with_keywords(PyCFunctionWithKeywords f) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}

PyMethodDef methods_[] = {
    {"keys", forward<kKeys>, METH_NOARGS, "Return a view of the keys."},
    {"values", forward<kValues>, METH_NOARGS, "Return a view of the values."},
    {"items", forward<kItems>, METH_NOARGS, "Return a view of the (key, value) pairs."},
    {"get", frozen_get, METH_VARARGS, "get(key, default=None)\n--\n\nReturn the value of a key, or the default."},
    {"copy", frozen_copy, METH_NOARGS, "Return the frozendict itself: it cannot change."},
    {"fromkeys", frozen_fromkeys, METH_VARARGS | METH_CLASS, "Make a frozendict with one value for all keys."},
    {"__copy__", frozen_copy, METH_NOARGS, nullptr},
    {"__deepcopy__", frozen_deepcopy, METH_O, nullptr},
    {"__reduce__", frozen_reduce, METH_NOARGS, nullptr},
    {"__reversed__", forward<kReversed>, METH_NOARGS, nullptr},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "frozendict[K, V]"},
    {"clear", with_keywords(refuse), METH_VARARGS | METH_KEYWORDS, "Raise TypeError: a frozendict cannot be changed."},
    {"pop", with_keywords(refuse), METH_VARARGS | METH_KEYWORDS, "Raise TypeError: a frozendict cannot be changed."},
    {"popitem", with_keywords(refuse), METH_VARARGS | METH_KEYWORDS,
     "Raise TypeError: a frozendict cannot be changed."},
    {"setdefault", with_keywords(refuse), METH_VARARGS | METH_KEYWORDS,
     "Raise TypeError: a frozendict cannot be changed."},
    {"update", with_keywords(refuse), METH_VARARGS | METH_KEYWORDS, "Raise TypeError: a frozendict cannot be changed."},
    {nullptr, nullptr, 0, nullptr},
};

constexpr char kDoc[] =
    "frozendict(mapping_or_pairs=(), **kwargs)\n--\n\n"
    "An immutable dict: hashable if its values are, printed and pickled like a dict.\n\n"
    "It takes what ``dict`` takes, keeps the order of insertion and equals a dict with the same items. ``a | b`` is a\n"
    "new one with the items of both. What would change it raises ``TypeError``. Parameter trees are nested "
    "frozendicts.\n\n"
    ">>> from funcnn import frozendict\n"
    ">>> d = frozendict(weight=1)\n"
    ">>> d | {'bias': 2}\n"
    "frozendict({'weight': 1, 'bias': 2})\n"
    ">>> d == {'weight': 1}, hash(d) == hash(frozendict({'weight': 1}))\n"
    "(True, True)\n";

template <class T>
void* pointer(T* function) {
  return reinterpret_cast<void*>(function);
}

PyObject* make_type(PyObject* module) {
  static PyType_Slot slots[] = {
      {Py_tp_new, pointer(frozen_new)},
      {Py_tp_dealloc, pointer(frozen_dealloc)},
      {Py_tp_traverse, pointer(frozen_traverse)},
      {Py_tp_clear, pointer(frozen_clear)},
      {Py_tp_hash, pointer(frozen_hash)},
      {Py_tp_repr, pointer(frozen_repr)},
      {Py_tp_getattro, pointer(frozen_getattro)},
      {Py_tp_richcompare, pointer(frozen_compare)},
      {Py_tp_iter, pointer(frozen_iter)},
      {Py_tp_methods, methods_},
      {Py_tp_doc, const_cast<char*>(kDoc)},
      {Py_nb_or, pointer(frozen_or)},
      {Py_mp_subscript, pointer(frozen_getitem)},
      {Py_mp_ass_subscript, pointer(refuse_item)},
      {Py_mp_length, pointer(frozen_length)},
      {Py_sq_contains, pointer(frozen_contains)},
      {0, nullptr},
  };
  static PyType_Spec spec = {"funcnn.frozendict", int(sizeof(FrozenDict)), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE
#if PY_VERSION_HEX >= 0x030A0000
                                 | Py_TPFLAGS_IMMUTABLETYPE
#endif
                             ,
                             slots};
  return PyType_FromModuleAndSpec(module, &spec, nullptr);
}

}  // namespace

nb::handle frozendict_type() { return type_; }
bool is_frozendict(PyObject* object) { return reinterpret_cast<PyObject*>(Py_TYPE(object)) == type_; }
PyObject* frozendict_dict(PyObject* object) { return builtin_ ? object : cast(object)->dict; }

nb::object make_frozendict(nb::object dict, const Record* record) {
  if (builtin_) {
    PyObject* args[] = {nullptr, dict.ptr()};
    return owned(PyObject_Vectorcall(type_, args + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
  }
  nb::object frozen = owned(wrap(type_, dict.release().ptr()));
  if (record) {
    record->retain();
    cast(frozen.ptr())->record = record;
  }
  return frozen;
}

FrozenOrder frozen_order(PyObject* object) {
  if (builtin_) return {nullptr, nullptr};
  return {cast(object)->record, cast(object)->order};
}

void set_frozen_order(PyObject* object, Ref<const Record> record, Ref<const DictOrder> order) {
  if (builtin_ || cast(object)->record) return;
  cast(object)->order = order.detach();
  cast(object)->record = record.detach();
}

void initialise_frozendict(nb::module_& m) {
  nb::object builtins = nb::module_::import_("builtins");
  if (nb::hasattr(builtins, "frozendict")) {
    type_ = nb::object(builtins.attr("frozendict")).release().ptr();
    builtin_ = true;
  } else {
    type_ = owned(make_type(m.ptr())).release().ptr();
    nb::module_::import_("collections.abc").attr("Mapping").attr("register")(nb::handle(type_));
  }
  m.attr("_frozendict") = nb::handle(type_);
}

}  // namespace funcnn::pytree
