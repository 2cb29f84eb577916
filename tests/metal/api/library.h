// MTLLibrary, MTLFunction, MTLFunctionConstantValues, MTLComputePipelineState.
#pragma once

#include <memory>

#include "../device/library.h"
#include "../objc/foundation.h"
#include "descriptors.h"

namespace software_metal {

struct FunctionConstants final : Object {
  using Object::Object;
  Constants values;
};

struct Function final : Object {
  Function(std::shared_ptr<Module> module, const Kernel* kernel);
  const std::shared_ptr<Module> module;
  const Kernel* const kernel;
};

struct Library final : Object {
  explicit Library(std::string path);
  const std::string path;
  const std::shared_ptr<Module> module;
};

struct Pipeline final : Object {
  explicit Pipeline(const Function& function);
  const std::shared_ptr<Module> module;
  const Kernel* const kernel;
};

// Null, and the compiler's words in the error, where it is at fault.
Library* compile_library(const String* source, const CompileOptions* options, Error** error);

}  // namespace software_metal
