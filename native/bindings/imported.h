// What a module of Python calls by a name, looked up when it is first asked for and kept.
#pragma once

#include <nanobind/nanobind.h>

#include <atomic>

namespace funcnn {

// Declared `static constinit`: of other statics in functions the language itself sees to it that they are made once, by
// a lock that would be held while the import runs Python code, in which other threads and handlers of signals ask for
// the same.
class Imported {
 public:
  constexpr Imported(const char* module, const char* name) : module_(module), name_(name) {}
  PyObject* get() {
    if (PyObject* known = found_.load(std::memory_order_acquire)) return known;
    PyObject* made = nanobind::object(nanobind::module_::import_(module_).attr(name_)).release().ptr();
    PyObject* known = nullptr;
    if (found_.compare_exchange_strong(known, made)) return made;
    Py_DECREF(made);
    return known;
  }

 private:
  const char* module_;
  const char* name_;
  std::atomic<PyObject*> found_{nullptr};
};

}  // namespace funcnn
