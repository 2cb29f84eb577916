// The Objective-C runtime, loaded when a Metal device is first looked for. No header of Apple's is needed, so this
// compiles everywhere; what stands behind it is Apple's Metal, or a library that answers the same messages.
//
// The library exports: objc_msgSend, objc_getClass, sel_registerName, objc_autoreleasePoolPush,
// objc_autoreleasePoolPop, _NSConcreteStackBlock, MTLCreateSystemDefaultDevice, MTLCopyAllDevices.
#pragma once

#include <cstdint>
#include <string>

namespace funcnn::metal {

using Id = void*;
using Selector = void*;
using Class = void*;

struct Runtime {
  void (*send)() = nullptr;  // objc_msgSend, called through the type of the method
  Class (*class_of)(const char* name) = nullptr;
  Selector (*selector)(const char* name) = nullptr;
  void* (*push_pool)() = nullptr;
  void (*pop_pool)(void* pool) = nullptr;
  void* block_class = nullptr;       // _NSConcreteStackBlock
  Id (*default_device)() = nullptr;  // retained
  Id (*all_devices)() = nullptr;     // a retained NSArray
};

// The runtime once load_runtime has found it.
const Runtime& runtime();
// Load it: of the library at `path`, or of the system (empty). Returns what went wrong.
std::string load_runtime(const std::string& path);

// Objects that methods return without a claim on them live until the innermost pool goes.
class Pool {
 public:
  Pool() : pool_(runtime().push_pool()) {}
  ~Pool() { runtime().pop_pool(pool_); }
  Pool(const Pool&) = delete;

 private:
  void* pool_;
};

}  // namespace funcnn::metal
