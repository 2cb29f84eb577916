#include "descriptors.h"

namespace software_metal {
namespace {

template <class T>
Class& allocatable(const char* name) {
  return (new Class(name, &object_class()))->class_method("alloc", [](Class* self, Selector) { return new T(*self); });
}

const bool registered = [] {
  allocatable<HeapDescriptor>("MTLHeapDescriptor")
      .method("setSize:", [](HeapDescriptor* self, Selector, Unsigned size) { self->size = size; })
      .method("setStorageMode:", [](HeapDescriptor* self, Selector, Unsigned mode) { self->storage = mode; })
      .method("setHazardTrackingMode:", [](HeapDescriptor* self, Selector, Unsigned mode) { self->tracking = mode; })
      .method("setResourceOptions:", [](HeapDescriptor* self, Selector, Unsigned options) {
        self->storage = options >> 4 & 0xf;
        self->tracking = options >> 8 & 3;
      });
  allocatable<CompileOptions>("MTLCompileOptions")
      .method("setLanguageVersion:", [](CompileOptions* self, Selector, Unsigned version) { self->language = version; })
      .method("setFastMathEnabled:",
              [](CompileOptions* self, Selector, signed char fast) { self->fast_math = fast != 0; })
      .method("setMathMode:", [](CompileOptions* self, Selector, long mode) { self->math_mode = mode; });
  allocatable<CaptureDescriptor>("MTLCaptureDescriptor")
      .method("setCaptureObject:", [](CaptureDescriptor* self, Selector, Object* object) { self->object = object; })
      .method("setDestination:", [](CaptureDescriptor* self, Selector, long to) { self->destination = to; })
      .method("setOutputURL:", [](CaptureDescriptor* self, Selector, Url* url) { self->path = url ? url->path : ""; });
  return true;
}();

}  // namespace
}  // namespace software_metal
