// The extension module: every file of this folder adds its part.
#include <atomic>
#include <stdexcept>

#include "bindings/profile.h"
#include "bindings/shim.h"
#include "bindings/shim_trees.h"

NB_MODULE(_core, m) {
  static std::atomic<bool> loaded{false};
  if (loaded.exchange(true))
    throw std::runtime_error(
        "a process loads funcnn once: it cannot be imported in a second interpreter, nor again after it was taken out "
        "of sys.modules");
  nb::set_leak_warnings(false);  // what modules and threads of the interpreter keep to its end is no leak of ours
  m.doc() = "The native core of funcnn.";
  funcnn::bind_errors(m);
  funcnn::bind_dtype(m);
  funcnn::bind_array(m);
  funcnn::bind_mutable(m);
  funcnn::bind_shim(m);
  funcnn::bind_interchange(m);
  funcnn::bind_indexing(m);
  funcnn::bind_elementwise(m);
  funcnn::bind_reduce(m);
  funcnn::bind_shape(m);
  funcnn::bind_create(m);
  funcnn::bind_linalg(m);
  funcnn::bind_conv(m);
  funcnn::bind_fast(m);
  funcnn::bind_custom_kernel(m);
  funcnn::bind_fft(m);
  funcnn::bind_quantized(m);
  funcnn::bind_products(m);
  funcnn::bind_order(m);
  funcnn::bind_runtime(m);
  funcnn::bind_device(m);
  funcnn::bind_pytree(m);
  funcnn::bind_random(m);
  funcnn::bind_transforms(m);
  funcnn::bind_compile(m);
  funcnn::bind_shim_transforms(m);
  funcnn::bind_shim_trees(m);
  funcnn::bind_shim_modules(m);
  funcnn::bind_explain(m);
  funcnn::bind_profile(m);
  funcnn::bind_control(m);
  funcnn::bind_program(m);
  funcnn::bind_jit(m);
  funcnn::bind_structure(m);
  funcnn::bind_record(m);
  funcnn::bind_callback(m);
  funcnn::bind_calls(m);
}
