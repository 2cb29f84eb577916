// Element types as Python objects.
#pragma once

#include <optional>

#include "base/dtype.h"
#include "bindings/bindings.h"

namespace funcnn {

// The object of a dtype (borrowed; one for each, alive as long as the module), or the one that mutable arrays have.
PyObject* dtype_object(Dtype dtype, bool of_mutable = false);
// The class of these objects.
nb::handle dtype_class();
// The dtype of a Dtype object, a NumPy dtype or scalar type, or bool, int, float, complex; TypeError for the rest.
Dtype dtype_of(nb::handle object);
// The same, with None for none.
std::optional<Dtype> optional_dtype(nb::handle object);

}  // namespace funcnn

namespace nanobind::detail {

template <>
struct type_caster<funcnn::Dtype> {
  NB_TYPE_CASTER(funcnn::Dtype, const_name("Dtype"))
  bool from_python(handle source, uint8_t, cleanup_list*) noexcept {
    try {
      value = funcnn::dtype_of(source);
      return true;
    } catch (...) {
      return false;
    }
  }
  static handle from_cpp(funcnn::Dtype dtype, rv_policy, cleanup_list*) noexcept {
    return handle(funcnn::dtype_object(dtype)).inc_ref();
  }
};

}  // namespace nanobind::detail
