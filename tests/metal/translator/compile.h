// From Metal source to a shared library of kernels, cached on disk.
#pragma once

#include <stdexcept>
#include <string>

namespace software_metal {

class CompileError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct CompileRequest {
  std::string source;
  unsigned language = (3 << 16) + 1;  // MTLLanguageVersion
  bool fast_math = true;
};

// The path of the library. Throws CompileError with the compiler's words.
std::string compile(const CompileRequest& request);

}  // namespace software_metal
