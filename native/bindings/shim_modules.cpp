// What funcnn.compat.nn.Module does so often that it is done here: reading and setting attributes, listing and
// replacing parameters. A module is a dict; funcnn.compat.nn.layers.base says what all this is for.
#include "bindings/array.h"
#include "bindings/shim_trees.h"

namespace funcnn {
namespace {

bool is_entry(PyObject* x) { return is_mutable(x) || PyDict_Check(x) || PyList_Check(x) || PyTuple_Check(x); }

// ---- attributes

PyObject *no_grad_name, *training_name, *items_name, *dict_items;

// What a module has that was made without Module.__init__.
PyObject* default_of(PyObject* self, PyObject* name) {
  PyObject* made = nullptr;
  if (PyUnicode_Compare(name, no_grad_name) == 0)
    made = PySet_New(nullptr);
  else if (PyUnicode_Compare(name, training_name) == 0)
    made = PyBool_FromLong(1);
  if (made && PyObject_GenericSetAttr(self, name, made) < 0) Py_CLEAR(made);
  return made;
}

// __getattr__: called for what is no ordinary attribute.
PyObject* get_attribute(PyObject* self, PyObject* name) {
  PyObject* value = PyDict_GetItemWithError(self, name);
  if (value && value != Py_None) {
    Py_INCREF(value);
    return value;
  }
  if (PyErr_Occurred()) return nullptr;
  value = default_of(self, name);
  return value || PyErr_Occurred() ? value : PyObject_GenericGetAttr(self, name);
}

int has_attribute(PyObject* self, PyObject* name) {
  PyObject* found = PyObject_GetAttr(self, name);
  Py_XDECREF(found);
  if (found) return 1;
  if (!PyErr_ExceptionMatches(PyExc_AttributeError)) return -1;
  PyErr_Clear();
  return 0;
}

int set(PyObject* self, PyObject* name, PyObject* value) {
  int contained = PyDict_Contains(self, name);
  if (contained < 0) return -1;
  if (!is_entry(value)) {
    if (PyObject_GenericSetAttr(self, name, value) < 0) return -1;
    // A property may have taken the entry out.
    if (contained) contained = PyDict_Contains(self, name);
    return contained > 0 ? PyDict_DelItem(self, name) : contained;
  }
  if (!contained) {
    // An ordinary attribute would hide the entry.
    int hidden = has_attribute(self, name);
    if (hidden < 0 || (hidden && PyObject_GenericSetAttr(self, name, nullptr) < 0)) return -1;
  }
  return PyObject_SetItem(self, name, value);
}

PyObject* set_attribute(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  if (count != 2) {
    PyErr_Format(PyExc_TypeError, "__setattr__ expected 2 arguments, got %zd", count);
    return nullptr;
  }
  if (!PyUnicode_Check(args[0])) {
    PyErr_Format(PyExc_TypeError, "attribute name must be string, not '%s'", nb::inst_name(args[0]).c_str());
    return nullptr;
  }
  return set(self, args[0], args[1]) < 0 ? nullptr : nb::none().release().ptr();
}

PyMethodDef methods[] = {
    {"__getattr__", get_attribute, METH_O, "__getattr__($self, key, /)\n--\n\nThe entry of this name."},
    {"__setattr__", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(set_attribute)), METH_FASTCALL,
     "__setattr__($self, key, val, /)\n--\n\nMake arrays and containers entries, all else an ordinary attribute."}};

// ---- parameters

// The items of a module are those of the dict, unless its class has another method.
template <class Visit>
void each_entry(nb::handle module, Visit visit) {
  nb::object items = checked(PyObject_GetAttr(module.type().ptr(), items_name));
  if (items.ptr() != dict_items) return each_item(module, visit);
  PyObject *key, *value;
  Py_ssize_t at = 0;
  while (PyDict_Next(module.ptr(), &at, &key, &value)) visit(nb::borrow(key), nb::borrow(value));
}

struct Parameters {
  nb::handle module_type;
  bool trainable;

  bool is_module(nb::handle x) const { return truth(PyObject_IsInstance(x.ptr(), module_type.ptr())); }

  static bool may_hold(nb::handle x) { return is_mutable(x.ptr()) || PyDict_Check(x.ptr()) || PyList_Check(x.ptr()); }

  static bool is_private(nb::handle key) {
    if (!PyUnicode_Check(key.ptr())) return nb::cast<bool>(key.attr("startswith")("_"));
    return PyUnicode_GetLength(key.ptr()) > 0 && PyUnicode_ReadChar(key.ptr(), 0) == '_';
  }

  bool frozen(nb::handle names, nb::handle key) const {
    return names.is_valid() && truth(PySequence_Contains(names.ptr(), key.ptr()));
  }

  // Names by which something is frozen in a module; nothing if none is.
  nb::object names_of(nb::handle module) const {
    if (!trainable) return {};
    nb::object names = checked(PyObject_GetAttr(module.ptr(), no_grad_name));
    return PyAnySet_CheckExact(names.ptr()) && PySet_Size(names.ptr()) == 0 ? nb::object() : names;
  }

  nb::object of_module(nb::handle module) const {
    Level level;
    nb::object made = checked(PyDict_New()), names = names_of(module);
    each_entry(module, [&](nb::handle key, nb::handle value) {
      if (may_hold(value) && !is_private(key) && !frozen(names, key))
        check(PyDict_SetItem(made.ptr(), key.ptr(), of(value, key, names).ptr()));
    });
    return made;
  }

  // Of an entry of a module or of what is below it, by the path from the module, which matters where something is
  // frozen.
  nb::object of(nb::handle value, nb::handle path, nb::handle names) const {
    if (is_mutable(value.ptr())) return nb::borrow(value);
    if (PyDict_Check(value.ptr()) && is_module(value)) return of_module(value);
    Level level;
    auto item = [&](nb::object below, nb::handle child) {
      if (!may_hold(child) || frozen(names, below)) return checked(PyDict_New());
      return of(child, below, names);
    };
    if (PyDict_Check(value.ptr())) {
      nb::object made = checked(PyDict_New());
      each_item(value, [&](nb::handle key, nb::handle child) {
        nb::object below;
        if (names.is_valid()) below = checked(PyUnicode_FromFormat("%S.%S", path.ptr(), key.ptr()));
        check(PyDict_SetItem(made.ptr(), key.ptr(), item(below, child).ptr()));
      });
      return made;
    }
    nb::object made = checked(PyList_New(0));
    each_element(value, [&](Py_ssize_t i, nb::handle child) {
      nb::object below;
      if (names.is_valid()) below = checked(PyUnicode_FromFormat("%S.%zd", path.ptr(), i));
      check(PyList_Append(made.ptr(), item(below, child).ptr()));
    });
    return made;
  }
};

void refuse(const char* format, nb::handle what) {
  PyErr_Format(PyExc_ValueError, format, what.ptr());
  throw nb::python_error();
}

void update(nb::handle target, nb::handle source, bool strict);

void replace(nb::handle target, nb::handle place, nb::handle value, bool strict) {
  nb::object current = checked(PyObject_GetItem(target.ptr(), place.ptr()));
  if (!is_mutable(current.ptr())) return update(current, value, strict);
  if (strict && !is_mutable(value.ptr()))
    refuse("update: expected an array, to replace one, got %S", value.type().attr("__name__"));
  check(PyObject_SetItem(target.ptr(), place.ptr(), value.ptr()));
}

void update(nb::handle target, nb::handle source, bool strict) {
  Level level;
  if (PyDict_Check(source.ptr())) {
    each_item(source, [&](nb::handle key, nb::handle value) {
      if (truth(PySequence_Contains(target.ptr(), key.ptr())))
        replace(target, key, value, strict);
      else if (strict)
        refuse("update: there is nothing called %S to replace", key);
    });
  } else if (PyList_Check(source.ptr())) {
    each_element(source, [&](Py_ssize_t i, nb::handle value) {
      Py_ssize_t size = PyObject_Size(target.ptr());
      check(size < 0 ? -1 : 0);
      if (i < size) {
        replace(target, nb::int_(i), value, strict);
      } else if (strict) {
        PyErr_Format(PyExc_ValueError, "update: there is nothing at index %zd of a list of length %zd to replace", i,
                     size);
        throw nb::python_error();
      }
    });
  } else if (strict) {
    refuse("update: expected arrays in a dict or a list, got %S", source.type().attr("__name__"));
  }
}

}  // namespace

void bind_shim_modules(nb::module_& m) {
  no_grad_name = checked(PyUnicode_InternFromString("_no_grad")).release().ptr();
  training_name = checked(PyUnicode_InternFromString("_training")).release().ptr();
  items_name = checked(PyUnicode_InternFromString("items")).release().ptr();
  auto* dict = reinterpret_cast<PyObject*>(&PyDict_Type);
  dict_items = checked(PyObject_GetAttr(dict, items_name)).release().ptr();
  m.attr("_module_getattr") = checked(PyDescr_NewMethod(&PyDict_Type, &methods[0]));
  m.attr("_module_setattr") = checked(PyDescr_NewMethod(&PyDict_Type, &methods[1]));
  m.def(
      "_module_parameters",
      [](nb::handle module_type, nb::handle module, bool trainable) {
        return Parameters{module_type, trainable}.of_module(module);
      },
      nb::arg("module_type"), nb::arg("module"), nb::arg("trainable"),
      nb::sig("def _module_parameters(module_type: object, module: object, trainable: bool) -> dict"));
  m.def("_module_update", update, nb::arg("module"), nb::arg("parameters").none(), nb::arg("strict"),
        nb::sig("def _module_update(module: object, parameters: object, strict: bool) -> None"));
}

}  // namespace funcnn
