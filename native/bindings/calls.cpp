// What a call says whose arguments fit no signature, and what inspect is told of signatures. nanobind lists C++
// signatures; funcnn._calls names the argument, funcnn._signatures reads those that functions were defined with.
#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#if defined(__unix__) || defined(__APPLE__)
#include <dlfcn.h>
#endif

#include "bindings/bindings.h"

namespace funcnn {
namespace {

using EntryPoint = PyObject* (*)(PyObject*, PyObject* const*, size_t, PyObject*);

// nanobind enters functions of different complexity in different ways; this is more than it has.
constexpr size_t kMostEntryPoints = 16;
std::array<EntryPoint, kMostEntryPoints> entry_points{};

// Whether the pending error says no more than that an argument did not convert.
bool fits_no_signature() {
  if (!PyErr_ExceptionMatches(PyExc_TypeError)) return false;
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  nb::object text = nb::steal(value ? PyObject_Str(value) : nullptr);
  PyErr_Clear();
  const char* chars = text.is_valid() ? PyUnicode_AsUTF8AndSize(text.ptr(), nullptr) : nullptr;
  std::string_view message(chars ? chars : "");
  bool found = message == kWrongType || message.find("(): incompatible function arguments.") != message.npos;
  if (!chars) PyErr_Clear();
  PyErr_Restore(type, value, traceback);
  return found;
}

PyObject* explain(PyObject* function, PyObject* const* args, size_t nargsf, PyObject* names) {
  PyErr_Clear();
  return guarded([&] {
    // The upper bits hold flags, some of them nanobind's own.
    Py_ssize_t count = Py_ssize_t(nargsf & 0xffff), named = names ? PyTuple_Size(names) : 0;
    nb::list positional;
    for (Py_ssize_t i = 0; i < count; ++i) positional.append(nb::handle(args[i]));
    nb::dict keywords;
    for (Py_ssize_t i = 0; i < named; ++i)
      keywords[nb::handle(PyTuple_GetItem(names, i))] = nb::handle(args[count + i]);
    return nb::module_::import_("funcnn._calls")
        .attr("explain")(nb::handle(function), nb::tuple(positional), keywords)
        .release()
        .ptr();
  });
}

template <size_t I>
PyObject* enter(PyObject* function, PyObject* const* args, size_t nargsf, PyObject* names) {
  PyObject* result = entry_points[I](function, args, nargsf, names);
  return result || !fits_no_signature() ? result : explain(function, args, nargsf, names);
}

constexpr auto ours = []<size_t... I>(std::index_sequence<I...>) {
  return std::array<EntryPoint, kMostEntryPoints>{&enter<I>...};
}(std::make_index_sequence<kMostEntryPoints>());

// Where calls of a function enter; null where the interpreter does not tell. The stable ABI has no name for the
// question.
EntryPoint entry_point_of(PyObject* function) {
#if !defined(Py_LIMITED_API)
  return PyVectorcall_Function(function);
#elif defined(__unix__) || defined(__APPLE__)
  using Ask = EntryPoint (*)(PyObject*);
  static const Ask ask = reinterpret_cast<Ask>(dlsym(RTLD_DEFAULT, "PyVectorcall_Function"));
  return ask ? ask(function) : nullptr;
#else
  static_cast<void>(function);
  return nullptr;
#endif
}

// Put our entry point before nanobind's. A function keeps it behind its head; where that changes, messages stay as
// they are.
void watch(PyObject* function) {
  EntryPoint theirs = entry_point_of(function), held;
  auto* place = reinterpret_cast<std::byte*>(reinterpret_cast<PyVarObject*>(function) + 1);
  std::memcpy(&held, place, sizeof(held));
  if (!theirs || held != theirs) return;
  for (size_t i = 0; i < kMostEntryPoints; ++i) {
    if (theirs == ours[i]) return;
    if (entry_points[i] && entry_points[i] != theirs) continue;
    entry_points[i] = theirs;
    std::memcpy(place, &ours[i], sizeof(ours[i]));
    return;
  }
}

void watch_all(nb::handle scope) {
  for (nb::handle value : nb::object(scope.attr("__dict__")).attr("values")()) {
    nb::str name = nb::type_name(value.type());
    std::string_view kind = name.c_str();
    if (kind.ends_with("nb_func") || kind.ends_with("nb_method"))
      watch(value.ptr());
    else if (PyType_Check(value.ptr()) || PyModule_Check(value.ptr()))
      watch_all(value);
  }
}

PyObject* signature_of(PyObject* function, void*) {
  return guarded([&] {
    return nb::module_::import_("funcnn._signatures").attr("signature")(nb::handle(function)).release().ptr();
  });
}

PyGetSetDef signature_attribute{"__signature__", signature_of, nullptr, nullptr, nullptr};

// Give functions of a type of nanobind's the attribute that inspect asks for. The type refuses setattr, so its dict is
// asked of the garbage collector; where that shows none, inspect goes without.
void show_signatures(nb::handle type) {
  nb::list behind(nb::module_::import_("gc").attr("get_referents")(type.attr("__dict__")));
  if (behind.size() != 1 || !PyDict_CheckExact(nb::object(behind[0]).ptr())) return;
  nb::dict members = nb::borrow<nb::dict>(nb::object(behind[0]));
  if (members.contains(signature_attribute.name)) return;
  auto* of = reinterpret_cast<PyTypeObject*>(type.ptr());
  nb::object attribute = nb::steal(PyDescr_NewGetSet(of, &signature_attribute));
  if (!attribute.is_valid()) throw nb::python_error();
  members[signature_attribute.name] = attribute;
  PyType_Modified(of);
}

}  // namespace

void bind_calls(nb::module_& m) {
  watch_all(m);
  nb::object method = m.attr("array").attr("sum");
  show_signatures(m.attr("sum").type());
  show_signatures(method.type());
  show_signatures(nb::object(method.attr("__get__")(0)).type());  // of methods of an instance
}

}  // namespace funcnn
