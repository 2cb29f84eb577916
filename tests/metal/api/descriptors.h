// Objects that hold properties for a call: compile options, descriptors of heaps and captures.
#pragma once

#include "../objc/foundation.h"
#include "buffer.h"

namespace software_metal {

struct HeapDescriptor final : Object {
  using Object::Object;
  Unsigned size = 0, storage = 0, tracking = 0;
};

struct CompileOptions final : Object {
  using Object::Object;
  Unsigned language = (3 << 16) + 1;
  bool fast_math = true;
  long math_mode = 2;  // MTLMathModeFast
};

struct CaptureDescriptor final : Object {
  using Object::Object;
  Ref<Object> object;
  long destination = 1;  // MTLCaptureDestinationDeveloperTools
  std::string path;
};

}  // namespace software_metal
