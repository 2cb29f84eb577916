// Functions as funcnn.compat shows them: they take `stream`, and what they make may be assigned to.
#include <vector>

#include "bindings/imported.h"
#include "bindings/mutable.h"

#include <structmember.h>  // after Python's own header, which it needs

namespace funcnn {
namespace {

struct Shim {
  PyObject_HEAD;
  vectorcallfunc enter;
  PyObject *function, *name, *module, *doc;
  PyObject* otherwise;  // what is called where `function` raises a ValueError or a TypeError; or null
};

Shim* shim_of(PyObject* self) { return reinterpret_cast<Shim*>(self); }

PyObject* stream_name = nullptr;

// The result with mutable arrays in place of the immutable ones; takes the reference. Containers that the call has made
// are filled in place.
PyObject* opened_tree(PyObject* result) {
  if (!result || is_array(result)) return opened(result);
  if (PyTuple_Check(result)) {
    Py_ssize_t count = PyTuple_Size(result);
    PyObject* made = PyTuple_New(count);
    for (Py_ssize_t i = 0; made && i < count; ++i) {
      PyObject* item = PyTuple_GetItem(result, i);
      Py_INCREF(item);
      item = opened_tree(item);
      if (!item)
        Py_CLEAR(made);
      else
        PyTuple_SetItem(made, i, item);
    }
    Py_DECREF(result);
    return made;
  }
  if (PyList_CheckExact(result)) {
    for (Py_ssize_t i = 0; i < PyList_Size(result); ++i) {
      PyObject* item = PyList_GetItem(result, i);
      Py_INCREF(item);
      item = opened_tree(item);
      if (!item || PyList_SetItem(result, i, item) < 0) {
        Py_DECREF(result);
        return nullptr;
      }
    }
    return result;
  }
  if (PyDict_CheckExact(result)) {
    PyObject *key, *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(result, &at, &key, &value)) {
      Py_INCREF(value);
      value = opened_tree(value);
      // Keys stay, so the walk goes on.
      int failed = !value || PyDict_SetItem(result, key, value) < 0;
      Py_XDECREF(value);
      if (failed) {
        Py_DECREF(result);
        return nullptr;
      }
    }
  }
  return result;
}

// What the function of the shim gives, or what is done otherwise.
PyObject* called(Shim* shim, PyObject* const* args, size_t nargsf, PyObject* names) {
  PyObject* result = PyObject_Vectorcall(shim->function, args, nargsf, names);
  if (result || !shim->otherwise) return result;
  if (!PyErr_ExceptionMatches(PyExc_ValueError) && !PyErr_ExceptionMatches(PyExc_TypeError)) return nullptr;
  PyObject *type, *error, *traceback;
  PyErr_Fetch(&type, &error, &traceback);
  PyErr_NormalizeException(&type, &error, &traceback);
  if (traceback) PyException_SetTraceback(error, traceback);
  size_t positional = size_t(PyVectorcall_NARGS(nargsf)), named = names ? size_t(PyTuple_Size(names)) : 0;
  std::vector<PyObject*> with_error{error};
  with_error.insert(with_error.end(), args, args + positional + named);
  result = PyObject_Vectorcall(shim->otherwise, with_error.data(), positional + 1, names);
  Py_XDECREF(type);
  Py_XDECREF(error);
  Py_XDECREF(traceback);
  return result;
}

// The call with the stream taken out, on the stream's device.
PyObject* call_on_stream(Shim* shim, PyObject* const* args, size_t positional, PyObject* names, Py_ssize_t at) {
  Py_ssize_t named = PyTuple_Size(names);
  PyObject* stream = args[positional + size_t(at)];
  nb::object others = nb::steal(PyTuple_New(named - 1));
  std::vector<PyObject*> rest(args, args + positional);
  rest.reserve(positional + size_t(named));
  for (Py_ssize_t i = 0, next = 0; i < named; ++i) {
    if (i == at) continue;
    PyObject* name = PyTuple_GetItem(names, i);
    Py_INCREF(name);
    PyTuple_SetItem(others.ptr(), next++, name);
    rest.push_back(args[positional + size_t(i)]);
  }
  PyObject* rest_names = named > 1 ? others.ptr() : nullptr;
  if (stream == Py_None) return called(shim, rest.data(), positional, rest_names);
  return guarded([&]() -> PyObject* {
    static constinit Imported device_of("funcnn.compat.core._streams", "device_of");
    nb::object device = nb::steal(PyObject_CallFunctionObjArgs(device_of.get(), stream, nullptr));
    if (!device.is_valid()) return nullptr;
    Device before = set_thread_device(nb::cast<Device>(device));
    PyObject* result = called(shim, rest.data(), positional, rest_names);
    set_thread_device(before);
    return result;
  });
}

PyObject* enter(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* names) {
  Shim* shim = shim_of(self);
  Py_ssize_t named = names ? PyTuple_Size(names) : 0;
  for (Py_ssize_t i = 0; i < named; ++i) {
    PyObject* name = PyTuple_GetItem(names, i);
    if (name == stream_name || PyUnicode_Compare(name, stream_name) == 0)
      return opened_tree(call_on_stream(shim, args, size_t(PyVectorcall_NARGS(nargsf)), names, i));
  }
  return opened_tree(called(shim, args, nargsf, names));
}

PyObject* make(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  PyObject *function, *name, *module, *otherwise = Py_None;
  if ((kwargs && PyDict_Size(kwargs)) || !PyArg_ParseTuple(args, "OUU|O", &function, &name, &module, &otherwise)) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "_shim: takes no keyword arguments");
    return nullptr;
  }
  auto allocate = reinterpret_cast<allocfunc>(PyType_GetSlot(type, Py_tp_alloc));
  PyObject* made = allocate(type, 0);
  if (!made) return nullptr;
  Shim* shim = shim_of(made);
  shim->enter = enter;
  shim->function = nb::handle(function).inc_ref().ptr();
  shim->name = nb::handle(name).inc_ref().ptr();
  shim->module = nb::handle(module).inc_ref().ptr();
  shim->otherwise = otherwise == Py_None ? nullptr : nb::handle(otherwise).inc_ref().ptr();
  shim->doc = PyObject_GetAttrString(function, "__doc__");
  if (!shim->doc) {
    PyErr_Clear();
    shim->doc = nb::none().release().ptr();
  }
  return made;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(shim_of(self)->function);
  Py_VISIT(shim_of(self)->otherwise);
  return 0;
}
int clear(PyObject* self) {
  Py_CLEAR(shim_of(self)->function);
  Py_CLEAR(shim_of(self)->otherwise);
  return 0;
}
void deallocate(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  Shim* shim = shim_of(self);
  Py_CLEAR(shim->function);
  Py_CLEAR(shim->name);
  Py_CLEAR(shim->module);
  Py_CLEAR(shim->doc);
  Py_CLEAR(shim->otherwise);
  reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

PyObject* bind_to(PyObject* self, PyObject* instance, PyObject*) {
  if (!instance || instance == Py_None) return nb::handle(self).inc_ref().ptr();
  return guarded([&] {
    static constinit Imported method("types", "MethodType");
    return PyObject_CallFunctionObjArgs(method.get(), self, instance, nullptr);
  });
}

// Attributes that the type has for itself are not those of its instances.
PyObject* attribute(PyObject* self, PyObject* name) {
  if (PyUnicode_CompareWithASCIIString(name, "__module__") == 0)
    return nb::handle(shim_of(self)->module).inc_ref().ptr();
  if (PyUnicode_CompareWithASCIIString(name, "__doc__") == 0) return nb::handle(shim_of(self)->doc).inc_ref().ptr();
  return PyObject_GenericGetAttr(self, name);
}

PyObject* show(PyObject* self) { return PyUnicode_FromFormat("<function %U>", shim_of(self)->name); }

// Functions of a module are pickled by name.
PyObject* reduce(PyObject* self, PyObject*) { return nb::handle(shim_of(self)->name).inc_ref().ptr(); }

PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Shim, enter), READONLY, nullptr},
    {"__wrapped__", T_OBJECT, offsetof(Shim, function), READONLY, "The function that this one calls."},
    {"__name__", T_OBJECT, offsetof(Shim, name), READONLY, nullptr},
    {"__qualname__", T_OBJECT, offsetof(Shim, name), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};
PyMethodDef methods[] = {{"__reduce__", reduce, METH_NOARGS, nullptr}, {nullptr, nullptr, 0, nullptr}};

}  // namespace

void bind_shim(nb::module_& m) {
  static PyType_Slot slots[] = {slot(Py_tp_new, make),
                                slot(Py_tp_dealloc, deallocate),
                                slot(Py_tp_traverse, traverse),
                                slot(Py_tp_clear, clear),
                                slot(Py_tp_call, PyVectorcall_Call),
                                slot(Py_tp_descr_get, bind_to),
                                slot(Py_tp_getattro, attribute),
                                slot(Py_tp_repr, show),
                                slot(Py_tp_members, members),
                                slot(Py_tp_methods, methods),
                                {0, nullptr}};
  static PyType_Spec spec = {
      "funcnn._core._shim", int(sizeof(Shim)), 0,
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR, slots};
  stream_name = PyUnicode_InternFromString("stream");
  nb::object type = nb::steal(PyType_FromSpec(&spec));
  if (!type.is_valid()) throw nb::python_error();
  m.attr("_shim") = type;
}

}  // namespace funcnn
