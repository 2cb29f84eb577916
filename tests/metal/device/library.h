// A compiled library of kernels, loaded.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernel_abi.h"

namespace software_metal {

// Values of function constants by index.
using Constants = std::map<unsigned, std::vector<unsigned char>>;

class Module {
 public:
  // Of the shared library at `path`; with constants, a copy of its own. Throws std::runtime_error.
  static std::shared_ptr<Module> load(const std::string& path, const Constants& constants = {});
  ~Module();

  const Kernel* find(const std::string& name) const;
  std::vector<std::string> names() const;
  // Whether kernels of it have barriers or SIMD-group operations.
  bool waits() const { return waits_; }
  bool holds(const void* address) const;

 private:
  Module() = default;
  void* handle_ = nullptr;
  const Kernel* kernels_ = nullptr;
  bool waits_ = true;
  uintptr_t begin_ = 0, end_ = 0;
};

}  // namespace software_metal
