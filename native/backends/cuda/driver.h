// The part of NVIDIA's driver API that we use, loaded when a GPU is first asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace funcnn::cuda {

using Address = uint64_t;  // of device memory
// As libraries of the toolkit take it.
inline void* at(Address address) { return reinterpret_cast<void*>(uintptr_t(address)); }
using Context = struct ContextHandle*;
using Module = struct ModuleHandle*;
using Function = struct FunctionHandle*;
using StreamHandle = struct StreamOfDriver*;
using EventHandle = struct EventOfDriver*;
using Pool = struct PoolHandle*;
using Graph = struct GraphHandle*;
using GraphExec = struct GraphExecHandle*;
using GraphNode = struct GraphNodeHandle*;

enum class Status : int {
  success = 0,
  out_of_memory = 2,
  no_device = 100,
  illegal_address = 700,
  launch_out_of_resources = 701,
};

// Numbers of cuda.h.
enum class Attribute : int {
  multiprocessors = 16,
  major = 75,
  minor = 76,
  memory_pools = 115,
};
inline constexpr unsigned kEventWithTiming = 0, kEventWithoutTiming = 2;
inline constexpr unsigned kStreamApart = 1;  // does not wait for the stream that others call the default one
inline constexpr int kCaptureThread = 1;     // of this thread alone
inline constexpr int kReleaseThreshold = 4;  // attribute of a pool

// A launch as a node of a graph.
struct KernelNode {
  Function function;
  unsigned groups[3], threads[3];
  unsigned shared_bytes;
  void** parameters;
  void** extra;
  void* kernel;
  Context context;
};

struct Driver {
  Status (*init)(unsigned flags);
  Status (*version)(int* version);
  Status (*error_name)(Status, const char** name);
  Status (*error_text)(Status, const char** text);
  Status (*device_count)(int* count);
  Status (*device_get)(int* device, int ordinal);
  Status (*device_name)(char* name, int size, int device);
  Status (*device_memory)(size_t* bytes, int device);
  Status (*device_attribute)(int* value, Attribute, int device);
  Status (*retain_context)(Context*, int device);
  Status (*current_context)(Context*);
  Status (*set_current_context)(Context);
  Status (*default_pool)(Pool*, int device);
  Status (*set_pool_attribute)(Pool, int attribute, void* value);
  Status (*trim_pool)(Pool, size_t keep);
  Status (*allocate_on)(Address*, size_t bytes, StreamHandle);
  Status (*free_on)(Address, StreamHandle);
  Status (*allocate)(Address*, size_t bytes);
  Status (*free)(Address);
  Status (*allocate_pinned)(void**, size_t bytes, unsigned flags);
  Status (*to_device)(Address to, const void* from, size_t bytes, StreamHandle);
  Status (*to_host)(void* to, Address from, size_t bytes, StreamHandle);
  Status (*create_stream)(StreamHandle*, unsigned flags);
  Status (*synchronize)(StreamHandle);
  Status (*stream_waits)(StreamHandle, EventHandle, unsigned flags);
  Status (*create_event)(EventHandle*, unsigned flags);
  Status (*destroy_event)(EventHandle);
  Status (*record_event)(EventHandle, StreamHandle);
  Status (*wait_for_event)(EventHandle);
  Status (*milliseconds)(float*, EventHandle from, EventHandle to);
  Status (*load_module)(Module*, const void* image);
  Status (*unload_module)(Module);
  Status (*find_function)(Function*, Module, const char* name);
  Status (*launch)(Function, unsigned gx, unsigned gy, unsigned gz, unsigned tx, unsigned ty, unsigned tz,
                   unsigned shared_bytes, StreamHandle, void** parameters, void** extra);
  Status (*begin_capture)(StreamHandle, int mode);
  Status (*end_capture)(StreamHandle, Graph*);
  Status (*capture_info)(StreamHandle, int* state, uint64_t* id, Graph*, const GraphNode** last, size_t* count);
  Status (*instantiate)(GraphExec*, Graph, unsigned long long flags);
  Status (*destroy_graph)(Graph);
  Status (*set_kernel_node)(GraphExec, GraphNode, const KernelNode*);
  Status (*launch_graph)(GraphExec, StreamHandle);
  Status (*destroy_exec)(GraphExec);
};

// The driver, loaded and initialised once; null where there is none, and then `why_no_driver` says why.
const Driver* find_driver();
const std::string& why_no_driver();
// For code that runs only where there is one.
const Driver& driver();
// Whether the process is ending: the driver may be gone, and what it holds for us goes with it.
bool leaving();

// Raises Error naming what failed (OutOfMemoryError where memory did).
void check(Status status, std::string_view what);
// The driver's name for an error and its words.
std::string words_of(Status status);

// Makes a context current on this thread for a while.
class InContext {
 public:
  explicit InContext(Context context) {
    driver().current_context(&before_);
    changed_ = before_ != context;
    if (changed_) driver().set_current_context(context);
  }
  ~InContext() {
    if (changed_ && before_) driver().set_current_context(before_);
  }
  InContext(const InContext&) = delete;

 private:
  Context before_ = nullptr;
  bool changed_ = false;
};

}  // namespace funcnn::cuda
