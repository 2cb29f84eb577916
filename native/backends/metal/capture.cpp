#include "backends/metal/capture.h"

#include <atomic>

#include "backends/gpu/backend.h"
#include "backends/metal/machine.h"
#include "base/error.h"

namespace funcnn::metal {
namespace {

constexpr Device kGpu{DeviceKind::gpu, 0};

// Null: the gpu is none of Metal's.
MetalMachine* machine() {
  gpu::Machine* found = gpu::machine_of(kGpu);
  return found && found->traits().language == gpu::Language::metal ? static_cast<MetalMachine*>(found) : nullptr;
}

std::atomic<bool> capturing{false};

Id manager() { return messages().capture_manager(runtime().class_of("MTLCaptureManager")); }

}  // namespace

bool is_available() {
  try {
    device_memory(kGpu);
  } catch (const ValueError&) {
    return false;
  }
  return machine() != nullptr;
}

void start_capture(const std::string& path) {
  device_memory(kGpu);  // raises where there is none
  MetalMachine* captured = machine();
  if (!captured) throw ValueError("start_capture: the gpu of this machine is not one of Metal");
  check_not_forked();
  captured->drain();
  const Messages& say = messages();
  Pool pool;
  Id all = manager();
  if (!all || !(say.supports_destination(all, kTraceDocument) & 0xff))
    throw Error("start_capture: this process may not record; start it with MTL_CAPTURE_ENABLED=1");
  Owned descriptor(say.init(say.alloc(runtime().class_of("MTLCaptureDescriptor"))));
  say.set_capture_object(descriptor.get(), captured->metal_device());
  say.set_destination(descriptor.get(), kTraceDocument);
  say.set_output(descriptor.get(), say.file_url(runtime().class_of("NSURL"), string_of(path)));
  Id error = nullptr;
  if (!(say.start_capture(all, descriptor.get(), &error) & 0xff))
    throw Error(cat("start_capture: ", path, ": ", error_text(error)));
  capturing = true;
}

void stop_capture() {
  if (!capturing.exchange(false)) return;
  check_not_forked();
  machine()->drain();
  Pool pool;
  messages().stop_capture(manager());
}

}  // namespace funcnn::metal
