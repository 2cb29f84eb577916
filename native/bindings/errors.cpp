// C++ exceptions as Python exceptions.
#include "base/linalg_error.h"
#include "bindings/bindings.h"

namespace funcnn {
namespace {

PyObject* axis_error = nullptr;
PyObject* traced_value_error = nullptr;
PyObject* linalg_error = nullptr;

// Set the Python error of one of our exceptions; false if it is somebody else's.
bool translate(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const PendingError&) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_SystemError, "an exception was announced but not set");
  } catch (const Interrupted&) {
    if (!PyErr_Occurred()) PyErr_SetNone(PyExc_KeyboardInterrupt);
  } catch (const LinAlgError& e) {
    PyErr_SetString(linalg_error, e.what());
  } catch (const ValueError& e) {
    PyErr_SetString(PyExc_ValueError, e.what());
  } catch (const TypeError& e) {
    PyErr_SetString(PyExc_TypeError, e.what());
  } catch (const IndexError& e) {
    PyErr_SetString(PyExc_IndexError, e.what());
  } catch (const AxisError& e) {
    PyErr_SetString(axis_error, e.what());
  } catch (const TracedValueError& e) {
    PyErr_SetString(traced_value_error, e.what());
  } catch (const OutOfMemoryError& e) {
    PyErr_SetString(PyExc_MemoryError, e.what());
  } catch (const nb::cast_error&) {
    PyErr_SetString(PyExc_TypeError, kWrongType);
  } catch (const std::bad_alloc&) {
    PyErr_SetString(PyExc_MemoryError, "out of memory");
  } catch (const Error& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
  } catch (...) {
    return false;
  }
  return true;
}

PyObject* new_exception(nb::module_& m, const char* name, const char* doc, nb::object bases,
                        const char* module = "funcnn.") {
  std::string qualified = std::string(module) + name;
  nb::object made = nb::steal(PyErr_NewExceptionWithDoc(qualified.c_str(), doc, bases.ptr(), nullptr));
  if (!made.is_valid()) throw nb::python_error();
  m.attr(name) = made;
  return made.release().ptr();
}

}  // namespace

void translate_current_exception() noexcept {
  if (translate(std::current_exception())) return;
  try {
    throw;
  } catch (nb::python_error& e) {
    e.restore();
  } catch (const std::exception& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
  } catch (...) {
    PyErr_SetString(PyExc_SystemError, "unknown C++ exception");
  }
}

void bind_errors(nb::module_& m) {
  axis_error = new_exception(m, "AxisError", "Raise for an axis that an array does not have.",
                             nb::make_tuple(nb::handle(PyExc_IndexError), nb::handle(PyExc_ValueError)));
  traced_value_error =
      new_exception(m, "TracedValueError",
                    "Raise where the value of an array is asked for while only its shape and dtype are known:\n"
                    "under `vmap` and `compile`.",
                    nb::make_tuple(nb::handle(PyExc_ValueError)));
  linalg_error = new_exception(
      m, "LinAlgError",
      "Raise for a matrix that does not let a function of `linalg` compute its result: one that is singular, not\n"
      "positive definite, infinite or NaN.",
      nb::make_tuple(nb::handle(PyExc_ValueError)), "funcnn.linalg.");
  nb::register_exception_translator([](const std::exception_ptr& exception, void*) {
    if (!translate(exception)) std::rethrow_exception(exception);
  });
}

}  // namespace funcnn
