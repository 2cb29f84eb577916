// MTLDevice, MTLCaptureManager and the functions that find devices.
#include <sys/stat.h>

#include <cstring>
#include <fstream>
#include <mutex>

#include "../device/options.h"
#include "buffer.h"
#include "commands.h"
#include "descriptors.h"
#include "event.h"
#include "library.h"

namespace software_metal {
namespace {

struct Size {  // MTLSize
  Unsigned width, height, depth;
};

struct Architecture final : Object {
  using Object::Object;
};
struct Device final : Object {
  using Object::Object;
};

const Class& architecture_class() {
  static const Class* made =
      &(new Class("MTLArchitecture", &object_class()))->method("name", [](Architecture*, Selector) {
        return autoreleased(new String("applegpu_software"));
      });
  return *made;
}

// MTLGPUFamily: Apple 1 to 8, common 1 to 3, Metal 3.
signed char supports_family(Device*, Selector, long family) {
  return (family >= 1001 && family <= 1008) || (family >= 3001 && family <= 3003) || family == 5001;
}

Heap* new_heap(Device*, Selector, HeapDescriptor* descriptor) {
  if (!descriptor->size) misuse("newHeapWithDescriptor: of 0 bytes");
  return new Heap(descriptor->size, descriptor->storage << 4 | descriptor->tracking << 8);
}

Pipeline* new_pipeline(Device*, Selector, Function* function, Error**) {
  if (!function) misuse("newComputePipelineStateWithFunction: of nil");
  return new Pipeline(*function);
}

Buffer* buffer_of_bytes(Device*, Selector, const void* bytes, Unsigned length, Unsigned options) {
  Buffer* made = Buffer::make(length, options);
  if (made) std::memcpy(made->bytes(), bytes, length);
  return made;
}

const Class& device_class() {
  static const Class* made = [] {
    auto* c = new Class("MTLDevice", &object_class());
    c->method("name", [](Device*, Selector) { return autoreleased(new String("Software Metal device")); });
    c->method("architecture", [](Device*, Selector) { return autoreleased(new Architecture(architecture_class())); });
    c->method("registryID", [](Device*, Selector) { return uint64_t(1); });
    c->method("hasUnifiedMemory", [](Device*, Selector) { return (signed char)1; });
    c->method("isLowPower", [](Device*, Selector) { return (signed char)0; });
    c->method("isRemovable", [](Device*, Selector) { return (signed char)0; });
    c->method("supportsFamily:", supports_family);
    c->method("recommendedMaxWorkingSetSize", [](Device*, Selector) { return uint64_t(8) << 30; });
    c->method("currentAllocatedSize", [](Device*, Selector) { return Unsigned(allocated_bytes()); });
    c->method("maxBufferLength", [](Device*, Selector) { return Unsigned(4) << 30; });
    c->method("maxThreadgroupMemoryLength", [](Device*, Selector) { return Unsigned(kSharedBytes); });
    c->method("maxThreadsPerThreadgroup",
              [](Device*, Selector) { return Size{kMostThreads, kMostThreads, kMostThreads}; });
    c->method("newCommandQueue", [](Device*, Selector) { return new Queue(); });
    c->method("newCommandQueueWithMaxCommandBufferCount:", [](Device*, Selector, Unsigned) { return new Queue(); });
    c->method("newBufferWithLength:options:",
              [](Device*, Selector, Unsigned length, Unsigned options) { return Buffer::make(length, options); });
    c->method("newBufferWithBytes:length:options:", buffer_of_bytes);
    c->method("newHeapWithDescriptor:", new_heap);
    c->method("newLibraryWithSource:options:error:",
              [](Device*, Selector, String* source, CompileOptions* options, Error** error) {
                return compile_library(source, options, error);
              });
    c->method("newComputePipelineStateWithFunction:error:", new_pipeline);
    c->method("newEvent", [](Device*, Selector) { return new Event(false); });
    c->method("newSharedEvent", [](Device*, Selector) { return new Event(true); });
    c->method("newFence", [](Device*, Selector) { return new Fence(); });
    if (options().check) c->method("checksUsedLengths", [](Device*, Selector) { return (signed char)1; });
    return c;
  }();
  return *made;
}

Device* device() {
  static auto* only = new Device(device_class());
  return only;
}

// ---- captures: the folder is made, with a file that says that nothing of the GPU is in it

class CaptureManager final : public Object {
 public:
  using Object::Object;
  signed char start(CaptureDescriptor* descriptor, Error** error) {
    std::lock_guard lock(mutex_);
    auto refuse = [&](const char* why) {
      give_error(error, "MTLCaptureError", 3, why);
      return (signed char)0;
    };
    if (capturing_) return refuse("a capture is under way");
    if (!descriptor || !descriptor->object) return refuse("a capture needs an object");
    if (descriptor->destination != 2) return refuse("only GPU trace documents can be captured");
    if (mkdir(descriptor->path.c_str(), 0777) != 0) return refuse("the document cannot be made, or is there already");
    std::ofstream(descriptor->path + "/metadata") << "A capture of the software Metal device\n";
    capturing_ = true;
    return 1;
  }
  void stop() {
    std::lock_guard lock(mutex_);
    if (!capturing_) misuse("stopCapture without a capture");
    capturing_ = false;
  }
  bool capturing() {
    std::lock_guard lock(mutex_);
    return capturing_;
  }

 private:
  std::mutex mutex_;
  bool capturing_ = false;
};

const Class& capture_manager_class() {
  using Self = CaptureManager;
  static const Class* made = [] {
    auto* c = new Class("MTLCaptureManager", &object_class());
    c->class_method("sharedCaptureManager", [](Class* of, Selector) {
      static auto* shared = new CaptureManager(*of);
      return shared;
    });
    c->method("supportsDestination:",
              [](Self*, Selector, long destination) { return (signed char)(destination == 2); });
    c->method("startCaptureWithDescriptor:error:", [](Self* self, Selector, CaptureDescriptor* descriptor,
                                                      Error** error) { return self->start(descriptor, error); });
    c->method("stopCapture", [](Self* self, Selector) { self->stop(); });
    c->method("isCapturing", [](Self* self, Selector) { return (signed char)self->capturing(); });
    return c;
  }();
  return *made;
}

const bool registered = (architecture_class(), device_class(), capture_manager_class(), true);

}  // namespace
}  // namespace software_metal

extern "C" {

software_metal::Object* MTLCreateSystemDefaultDevice() {
  auto* device = software_metal::device();
  device->retain();
  return device;
}
software_metal::Object* MTLCopyAllDevices() {
  using namespace software_metal;
  return new Array({Ref<Object>(device())});
}
}
