#include "backends/metal/machine.h"

#include "base/error.h"

#if !defined(_WIN32)
#include <unistd.h>
#endif

namespace funcnn::metal {
namespace {

// Cores are nowhere told. The last letter of an architecture says how large the chip is.
uint32_t cores_of(const std::string& architecture) {
  switch (architecture.empty() ? 'g' : architecture.back()) {
    case 'p':
      return 5;
    case 's':
      return 18;
    case 'c':
      return 36;
    case 'd':
      return 72;
    default:
      return 9;
  }
}

// The device shares it.
size_t system_memory() {
#if defined(_SC_PHYS_PAGES) && defined(_SC_PAGESIZE)
  return size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGESIZE));
#else
  return 0;
#endif
}

gpu::Traits traits_of(Id device) {
  const Messages& say = messages();
  Pool pool;
  gpu::Traits traits;
  traits.language = gpu::Language::metal;
  traits.name = text_of(say.name(device));
  if (responds(device, say.architecture.selector()))
    if (Id architecture = say.architecture(device)) traits.architecture = text_of(say.name(architecture));
  if (traits.architecture.empty()) traits.architecture = "applegpu";
  traits.unified = (say.unified(device) & 0xff) != 0;
  traits.shared_bytes = size_t(say.shared_bytes(device));
  traits.cores = cores_of(traits.architecture);
  traits.working_set = size_t(say.working_set(device));
  traits.largest_buffer = size_t(say.largest_buffer(device));
  traits.memory_bytes = system_memory();
  return traits;
}

// From macOS 13 on.
bool has_addresses(Id device) {
  Owned buffer(messages().new_buffer(device, 16, kStorageShared));
  return buffer && responds(buffer.get(), messages().gpu_address.selector());
}

}  // namespace

MetalMachine::MetalMachine(Device device, Owned metal_device)
    : device_(std::move(metal_device)),
      traits_(traits_of(device_.get())),
      addresses_(has_addresses(device_.get())),
      compiler_(device_.get()),
      queue_(device_.get()),
      memory_(device, device_.get(), queue_) {}

Ref<gpu::Pipeline> MetalMachine::pipeline(const gpu::Source& source) {
  check_not_forked();
  return compiler_.pipeline(source);
}

uint64_t MetalMachine::address(const Operand& operand) const {
  return messages().gpu_address(room_of(operand.buffer->block()).buffer.get()) + uint64_t(operand.offset);
}

void MetalMachine::finish() {
  compiler_.finish();
  queue_.finish();
}

}  // namespace funcnn::metal
