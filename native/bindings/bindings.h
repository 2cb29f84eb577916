// What the parts of the extension module share.
#pragma once

#include <nanobind/nanobind.h>

#include "base/error.h"

namespace nb = nanobind;

namespace funcnn {

// Each file of this folder adds its part to the module.
void bind_errors(nb::module_& m);
void bind_dtype(nb::module_& m);
void bind_array(nb::module_& m);
void bind_mutable(nb::module_& m);
void bind_shim(nb::module_& m);
void bind_interchange(nb::module_& m);
void bind_indexing(nb::module_& m);
void bind_elementwise(nb::module_& m);
void bind_reduce(nb::module_& m);
void bind_shape(nb::module_& m);
void bind_create(nb::module_& m);
void bind_linalg(nb::module_& m);
void bind_conv(nb::module_& m);
void bind_fast(nb::module_& m);
void bind_custom_kernel(nb::module_& m);
void bind_fft(nb::module_& m);
void bind_quantized(nb::module_& m);
void bind_products(nb::module_& m);
void bind_order(nb::module_& m);
void bind_runtime(nb::module_& m);
void bind_device(nb::module_& m);
void bind_pytree(nb::module_& m);
void bind_random(nb::module_& m);
void bind_transforms(nb::module_& m);
void bind_compile(nb::module_& m);
void bind_explain(nb::module_& m);
void bind_control(nb::module_& m);
void bind_program(nb::module_& m);
void bind_jit(nb::module_& m);
void bind_structure(nb::module_& m);
void bind_record(nb::module_& m);
void bind_callback(nb::module_& m);
void bind_calls(nb::module_& m);  // last: it looks at what the others have made

// The error of an argument that does not convert; see calls.cpp.
inline constexpr const char* kWrongType = "an argument has the wrong type";

// Set the Python error that stands for the C++ exception being handled: for code that Python calls directly.
void translate_current_exception() noexcept;

// Run `f`; on a C++ exception set the Python error and return `failed`.
template <class F, class R>
R guarded(F&& f, R failed) noexcept {
  try {
    return f();
  } catch (...) {
    translate_current_exception();
    return failed;
  }
}
template <class F>
PyObject* guarded(F&& f) noexcept {
  return guarded(std::forward<F>(f), static_cast<PyObject*>(nullptr));
}

}  // namespace funcnn
