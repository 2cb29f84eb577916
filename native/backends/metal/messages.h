// Every message that this back end sends, typed. Methods named new... or alloc return an object that the caller owns,
// others one that lives until the innermost pool goes. No method returns a structure, so that objc_msgSend serves all
// of them on every processor; structures that are passed have the layout of Apple's.
#pragma once

#include "backends/metal/runtime.h"

namespace funcnn::metal {

using Boolean = signed char;  // BOOL: its low byte is all that counts
using Unsigned = unsigned long;
using Integer = long;

struct Size {  // MTLSize
  Unsigned width, height, depth;
};
struct Version {  // NSOperatingSystemVersion
  Integer major, minor, patch;
};

template <class F>
class Message;
template <class R, class... A>
class Message<R(A...)> {
 public:
  explicit Message(const char* name) : selector_(runtime().selector(name)) {}
  // Messages to null return zero.
  R operator()(Id self, A... arguments) const {
    return reinterpret_cast<R (*)(Id, Selector, A...)>(runtime().send)(self, selector_, arguments...);
  }
  Selector selector() const { return selector_; }

 private:
  Selector selector_;
};

struct Messages {
  // NSObject
  Message<Id()> alloc{"alloc"}, init{"init"}, retain{"retain"};
  Message<void()> release{"release"};
  Message<Boolean(Selector)> responds{"respondsToSelector:"};

  // NSString (class and object), NSURL, NSArray, NSError
  Message<Id(const char*)> string{"stringWithUTF8String:"};
  Message<const char*()> utf8{"UTF8String"};
  Message<Id(Id)> file_url{"fileURLWithPath:"};
  Message<Unsigned()> count{"count"};
  Message<Id(Unsigned)> object{"objectAtIndex:"};
  Message<Id()> description{"localizedDescription"};

  // NSProcessInfo (may be missing)
  Message<Id()> process_info{"processInfo"};
  Message<Boolean(Version)> at_least{"isOperatingSystemAtLeastVersion:"};

  // MTLDevice
  Message<Id()> name{"name"};
  Message<Id()> architecture{"architecture"};  // asked for by responds; MTLArchitecture has a name
  Message<Boolean()> unified{"hasUnifiedMemory"};
  Message<Boolean(Integer)> family{"supportsFamily:"};
  Message<uint64_t()> working_set{"recommendedMaxWorkingSetSize"};
  Message<Unsigned()> largest_buffer{"maxBufferLength"};
  Message<Unsigned()> shared_bytes{"maxThreadgroupMemoryLength"};
  Message<Id()> new_queue{"newCommandQueue"};
  Message<Id(Unsigned bytes, Unsigned options)> new_buffer{"newBufferWithLength:options:"};  // of MTLHeap as well
  Message<Id(Id descriptor)> new_heap{"newHeapWithDescriptor:"};                             // asked for by responds
  Message<Id(Id source, Id options, Id* error)> new_library{"newLibraryWithSource:options:error:"};
  Message<Id(Id function, Id* error)> new_pipeline{"newComputePipelineStateWithFunction:error:"};

  // MTLHeapDescriptor
  Message<void(Unsigned)> set_size{"setSize:"};
  Message<void(Unsigned)> set_storage{"setStorageMode:"};
  Message<void(Unsigned)> set_tracking{"setHazardTrackingMode:"};

  // MTLBuffer
  Message<void*()> contents{"contents"};
  Message<uint64_t()> gpu_address{"gpuAddress"};  // asked for by responds
  // Not of Apple's: a device in software, when it checks kernels, is told how much of a buffer is in use.
  Message<Boolean()> checks_lengths{"checksUsedLengths"};  // of its MTLDevice, asked for by responds
  Message<void(Unsigned)> set_used_length{"setUsedLength:"};

  // MTLCompileOptions
  Message<void(Unsigned)> set_language{"setLanguageVersion:"};
  Message<void(Boolean)> set_fast_math{"setFastMathEnabled:"};
  Message<void(Integer)> set_math_mode{"setMathMode:"};  // asked for by responds

  // MTLLibrary, MTLComputePipelineState
  Message<Id(Id name)> new_function{"newFunctionWithName:"};
  Message<Unsigned()> most_threads{"maxTotalThreadsPerThreadgroup"};

  // MTLCommandQueue, MTLCommandBuffer
  Message<Id()> command_buffer{"commandBuffer"};
  Message<Id(Unsigned dispatch_type)> encoder{"computeCommandEncoderWithDispatchType:"};
  Message<void(void* block)> on_completion{"addCompletedHandler:"};  // void (^)(id<MTLCommandBuffer>)
  Message<void()> commit{"commit"};
  Message<void()> wait{"waitUntilCompleted"};
  Message<Id()> error{"error"};
  Message<Unsigned()> status{"status"};
  Message<double()> began{"GPUStartTime"}, ended{"GPUEndTime"};  // seconds of the host's clock

  // MTLComputeCommandEncoder
  Message<void(Id)> set_pipeline{"setComputePipelineState:"};
  Message<void(Id, Unsigned offset, Unsigned index)> set_buffer{"setBuffer:offset:atIndex:"};
  Message<void(const void*, Unsigned length, Unsigned index)> set_bytes{"setBytes:length:atIndex:"};
  Message<void(Id resource, Unsigned usage)> use_resource{"useResource:usage:"};
  Message<void(Size groups, Size threads)> dispatch_groups{"dispatchThreadgroups:threadsPerThreadgroup:"};
  Message<void(Size grid, Size threads)> dispatch_threads{"dispatchThreads:threadsPerThreadgroup:"};
  Message<void(Unsigned scope)> barrier{"memoryBarrierWithScope:"};
  Message<void()> end{"endEncoding"};

  // MTLCaptureManager (class and object), MTLCaptureDescriptor
  Message<Id()> capture_manager{"sharedCaptureManager"};
  Message<Boolean(Integer)> supports_destination{"supportsDestination:"};
  Message<void(Id)> set_capture_object{"setCaptureObject:"};
  Message<void(Integer)> set_destination{"setDestination:"};
  Message<void(Id url)> set_output{"setOutputURL:"};
  Message<Boolean(Id descriptor, Id* error)> start_capture{"startCaptureWithDescriptor:error:"};
  Message<void()> stop_capture{"stopCapture"};
};

// After load_runtime.
const Messages& messages();

// Constants of Metal's headers.
inline constexpr Unsigned kStorageShared = 0;        // MTLResourceStorageModeShared, MTLStorageModeShared
inline constexpr Unsigned kTracked = 2;              // MTLHazardTrackingModeTracked
inline constexpr Unsigned kConcurrent = 1;           // MTLDispatchTypeConcurrent
inline constexpr Unsigned kScopeBuffers = 1;         // MTLBarrierScopeBuffers
inline constexpr Unsigned kUsageRead = 1;            // MTLResourceUsageRead
inline constexpr Unsigned kUsageWrite = 2;           // MTLResourceUsageWrite
inline constexpr Unsigned kStatusError = 5;          // MTLCommandBufferStatusError
inline constexpr Integer kFamilyApple7 = 1007;       // MTLGPUFamilyApple7: M1 and later
inline constexpr Integer kFamilyMetal3 = 5001;       // MTLGPUFamilyMetal3
inline constexpr Integer kTraceDocument = 2;         // MTLCaptureDestinationGPUTraceDocument
inline constexpr Unsigned kMetal31 = (3 << 16) + 1;  // MTLLanguageVersion3_1, and so on

inline std::string text_of(Id string) {
  const char* text = string ? messages().utf8(string) : nullptr;
  return text ? text : "";
}
// What an NSError says.
inline std::string error_text(Id error) { return error ? text_of(messages().description(error)) : "unknown error"; }
inline Id string_of(const std::string& text) { return messages().string(runtime().class_of("NSString"), text.c_str()); }
inline bool responds(Id object, Selector selector) { return (messages().responds(object, selector) & 0xff) != 0; }

// An object that is released when the last handle on it goes.
class Owned {
 public:
  Owned() = default;
  explicit Owned(Id object) : object_(object) {}
  static Owned retained(Id object) { return Owned(messages().retain(object)); }
  Owned(Owned&& other) noexcept : object_(other.object_) { other.object_ = nullptr; }
  Owned& operator=(Owned&& other) noexcept {
    Id mine = object_;
    object_ = other.object_;
    other.object_ = mine;
    return *this;
  }
  ~Owned() {
    if (object_) messages().release(object_);
  }
  Id get() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  Id object_ = nullptr;
};

}  // namespace funcnn::metal
