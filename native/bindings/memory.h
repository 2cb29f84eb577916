// What the bindings for tests of kernels take: memory of objects, and names of element types.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/dtype.h"
#include "bindings/bindings.h"

namespace funcnn {

void bind_lines(nb::module_& m);

inline Dtype parse_dtype(const std::string& name) {
  for (int i = 0; i < kDtypeCount; ++i)
    if (dtype_name(Dtype(i)) == name) return Dtype(i);
  throw ValueError(cat("unknown dtype ", name));
}

// The memory of an object, held while a program runs.
class Memory {
 public:
  Memory(nb::handle object, bool written) {
    if (PyObject_GetBuffer(object.ptr(), &view_, written ? PyBUF_WRITABLE : PyBUF_SIMPLE) != 0)
      throw nb::python_error();
  }
  ~Memory() { PyBuffer_Release(&view_); }
  Memory(const Memory&) = delete;
  std::byte* data() const { return static_cast<std::byte*>(view_.buf); }
  int64_t size() const { return int64_t(view_.len); }

 private:
  Py_buffer view_{};
};

}  // namespace funcnn
