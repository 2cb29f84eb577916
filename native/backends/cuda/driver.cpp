#include "backends/cuda/driver.h"

#include <atomic>
#include <cstdlib>

#include "backends/cuda/library.h"
#include "base/error.h"

namespace funcnn::cuda {
namespace {

// The oldest that is tried: memory in the order of a stream, modules loaded when their functions are used.
constexpr int kLeastVersion = 12000;

struct Found {
  Driver functions{};
  bool usable = false;
  std::string reason;
};

Found load() {
  Found found;
  Driver& d = found.functions;
#if defined(__APPLE__)
  return found;
#endif
#if defined(_WIN32)
  Library library = Library::open_system({"nvcuda.dll"});
#else
  Library library = Library::open_system({"libcuda.so.1"});
#endif
  if (!library) {
    found.reason = "CUDA: NVIDIA's driver is not installed";
    return found;
  }
  const char* missing = nullptr;
  auto bind = [&](auto& function, const char* name) {
    if (!library.bind(function, name)) missing = name;
  };
  bind(d.init, "cuInit");
  bind(d.version, "cuDriverGetVersion");
  bind(d.error_name, "cuGetErrorName");
  bind(d.error_text, "cuGetErrorString");
  bind(d.device_count, "cuDeviceGetCount");
  bind(d.device_get, "cuDeviceGet");
  bind(d.device_name, "cuDeviceGetName");
  bind(d.device_memory, "cuDeviceTotalMem_v2");
  bind(d.device_attribute, "cuDeviceGetAttribute");
  bind(d.retain_context, "cuDevicePrimaryCtxRetain");
  bind(d.current_context, "cuCtxGetCurrent");
  bind(d.set_current_context, "cuCtxSetCurrent");
  bind(d.default_pool, "cuDeviceGetDefaultMemPool");
  bind(d.set_pool_attribute, "cuMemPoolSetAttribute");
  bind(d.trim_pool, "cuMemPoolTrimTo");
  bind(d.allocate_on, "cuMemAllocAsync");
  bind(d.free_on, "cuMemFreeAsync");
  bind(d.allocate, "cuMemAlloc_v2");
  bind(d.free, "cuMemFree_v2");
  bind(d.allocate_pinned, "cuMemHostAlloc");
  bind(d.to_device, "cuMemcpyHtoDAsync_v2");
  bind(d.to_host, "cuMemcpyDtoHAsync_v2");
  bind(d.create_stream, "cuStreamCreate");
  bind(d.synchronize, "cuStreamSynchronize");
  bind(d.stream_waits, "cuStreamWaitEvent");
  bind(d.create_event, "cuEventCreate");
  bind(d.destroy_event, "cuEventDestroy_v2");
  bind(d.record_event, "cuEventRecord");
  bind(d.wait_for_event, "cuEventSynchronize");
  bind(d.milliseconds, "cuEventElapsedTime");
  bind(d.load_module, "cuModuleLoadData");
  bind(d.unload_module, "cuModuleUnload");
  bind(d.find_function, "cuModuleGetFunction");
  bind(d.launch, "cuLaunchKernel");
  bind(d.begin_capture, "cuStreamBeginCapture_v2");
  bind(d.end_capture, "cuStreamEndCapture");
  bind(d.capture_info, "cuStreamGetCaptureInfo_v2");
  bind(d.instantiate, "cuGraphInstantiateWithFlags");
  bind(d.destroy_graph, "cuGraphDestroy");
  bind(d.set_kernel_node, "cuGraphExecKernelNodeSetParams_v2");
  bind(d.launch_graph, "cuGraphLaunch");
  bind(d.destroy_exec, "cuGraphExecDestroy");
  int version = 0;
  if (d.version) d.version(&version);
  if (missing || version < kLeastVersion) {
    found.reason = cat("CUDA: NVIDIA's driver is too old: it speaks CUDA ", version / 1000, ".", version % 1000 / 10,
                       ", and funcnn needs 12.0 or later");
    return found;
  }
  if (Status status = d.init(0); status != Status::success) {
    const char* name = nullptr;
    d.error_name(status, &name);
    found.reason = status == Status::no_device
                       ? "CUDA: NVIDIA's driver sees no GPU"
                       : cat("CUDA: NVIDIA's driver does not start: ", name ? name : "unknown error");
    return found;
  }
  found.usable = true;
  return found;
}

std::atomic<bool> ended{false};

const Found& found() {
  static const auto* once = [] {
    auto* made = new Found(load());
    // After the driver's own, so that it comes before it at the end.
    std::atexit([] { ended.store(true, std::memory_order_relaxed); });
    return made;
  }();
  return *once;
}

}  // namespace

const Driver* find_driver() { return found().usable ? &found().functions : nullptr; }
const std::string& why_no_driver() { return found().reason; }
const Driver& driver() { return found().functions; }
bool leaving() { return ended.load(std::memory_order_relaxed); }

std::string words_of(Status status) {
  const char *name = nullptr, *text = nullptr;
  driver().error_name(status, &name);
  driver().error_text(status, &text);
  return cat(name ? name : cat("error ", int(status)), text ? cat(" (", text, ")") : std::string());
}

void check(Status status, std::string_view what) {
  if (status == Status::success) return;
  std::string message = cat("CUDA: ", what, ": ", words_of(status));
  if (status == Status::out_of_memory) throw OutOfMemoryError(message);
  throw Error(message);
}

}  // namespace funcnn::cuda
