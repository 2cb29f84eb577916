#include "backends/metal/runtime.h"

#include <initializer_list>

#include "base/error.h"

#if !defined(_WIN32)
#include <dlfcn.h>
#endif

namespace funcnn::metal {
namespace {

Runtime loaded;

#if !defined(_WIN32)

// Looks names up in the libraries it has opened.
class Libraries {
 public:
  bool open(const char* path) {
    handle_ = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle_) error_ = dlerror();
    return handle_ != nullptr;
  }
  template <class T>
  bool find(const char* name, T& to) {
    to = reinterpret_cast<T>(dlsym(handle_, name));
    if (!to) error_ = cat("has no ", name);
    return to != nullptr;
  }
  const std::string& error() const { return error_; }

 private:
  void* handle_ = nullptr;
  std::string error_;
};

bool find_objects(Libraries& from) {
  return from.find("objc_msgSend", loaded.send) && from.find("objc_getClass", loaded.class_of) &&
         from.find("sel_registerName", loaded.selector) && from.find("objc_autoreleasePoolPush", loaded.push_pool) &&
         from.find("objc_autoreleasePoolPop", loaded.pop_pool);
}
bool find_blocks(Libraries& from) { return from.find("_NSConcreteStackBlock", loaded.block_class); }
bool find_devices(Libraries& from) {
  return from.find("MTLCreateSystemDefaultDevice", loaded.default_device) &&
         from.find("MTLCopyAllDevices", loaded.all_devices);
}

#endif

}  // namespace

const Runtime& runtime() { return loaded; }

#if defined(_WIN32)

std::string load_runtime(const std::string&) { return "there is no Metal on Windows"; }

#else

std::string load_runtime(const std::string& path) {
  // The libraries stay open: code of theirs may run until the process ends.
  Libraries libraries;
  if (!path.empty()) {
    bool found =
        libraries.open(path.c_str()) && find_objects(libraries) && find_blocks(libraries) && find_devices(libraries);
    return found ? "" : cat(path, ": ", libraries.error());
  }
  // A program without windows has a default device only where CoreGraphics is there too.
  Libraries graphics;
  graphics.open("/System/Library/Frameworks/CoreGraphics.framework/CoreGraphics");
  bool found = libraries.open("/usr/lib/libobjc.A.dylib") && find_objects(libraries) &&
               libraries.open("/usr/lib/libSystem.B.dylib") && find_blocks(libraries) &&
               libraries.open("/System/Library/Frameworks/Metal.framework/Metal") && find_devices(libraries);
  return found ? "" : "Metal: " + libraries.error();
}

#endif

}  // namespace funcnn::metal
