#include "backends/cuda/machine.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "backends/cuda/setting.h"
#include "backends/gpu/backend.h"
#include "base/error.h"
#include "base/small_vector.h"

namespace funcnn::cuda {

CudaMachine::CudaMachine(Device device, int ordinal, Context context, gpu::Traits traits, int capability)
    : device_(device),
      traits_(std::move(traits)),
      stream_(context),
      memory_(device, ordinal, stream_, traits_.memory_bytes),
      compiler_(target_for(capability), [this] { stream_.wait(); }) {}

// Parameters of a kernel: the pointers, the scalars of the host where the kernel takes any, the values.
uint64_t CudaMachine::address(const Operand& operand) const {
  return uint64_t(address_of(operand.buffer->block())) + uint64_t(operand.offset);
}

void CudaMachine::launch(const gpu::Launch& launch) {
  if (launch.groups.count() == 0 || launch.threads.count() == 0) return;
  auto& kernel = static_cast<CompiledKernel&>(*launch.pipeline);
  const gpu::Source& source = kernel.source();
  InContext here(stream_.context());
  SmallVector<Address, 32> pointers;
  SmallVector<uint64_t, 8> ones(source.ones.size(), uint64_t(0));
  size_t one = 0;
  for (size_t i = 0; i < launch.operands.size(); ++i) {
    const Operand& operand = launch.operands[i];
    const bool may_be_scalar = one < source.ones.size() && source.ones[one] == i;
    if (operand.buffer) {
      pointers.push_back(address_of(operand.buffer->block()) + Address(operand.offset));
    } else {
      if (!may_be_scalar) throw Error(cat("CUDA: operand ", i, " of ", source.name, " is a scalar of the host"));
      std::memcpy(&ones[one], operand.scalar, sizeof(uint64_t));
      pointers.push_back(0);
    }
    one += may_be_scalar;
  }
  alignas(16) std::byte values[4096];
  std::memcpy(values, launch.values.data(), launch.values.size());
  SmallVector<void*, 36> parameters;
  for (Address& pointer : pointers) parameters.push_back(&pointer);
  if (!ones.empty()) parameters.push_back(ones.data());
  if (!launch.values.empty()) parameters.push_back(values);
  const gpu::Size3 &g = launch.groups, &t = launch.threads;
  if (g.y > 65535 || g.z > 65535)
    throw Error(cat("CUDA: ", source.name, " asks for ", g.x, " x ", g.y, " x ", g.z, " groups"));
  stream_.started(
      driver().launch(kernel.function(), g.x, g.y, g.z, t.x, t.y, t.z, 0, stream_.handle(), parameters.data(), nullptr),
      source.name);
}

namespace {

// Registers every GPU; what stands in the way where there is none.
std::string find_gpus() {
  // The software Metal device is there only when it is asked for.
  const char* metal = std::getenv("FUNCNN_METAL");
  if (setting_has("off") || (metal && *metal)) return {};
  if (setting_has("compile")) {
    std::string reason;
    if (find_nvrtc(0, reason)) gpu::register_machine(compile_only_machine());
    return reason;
  }
  const Driver* d = find_driver();
  if (!d) return why_no_driver();
  std::string reason;
  int version = 0, count = 0;
  d->version(&version);
  d->device_count(&count);
  if (count == 0) return "CUDA: NVIDIA's driver sees no GPU";
  if (!find_nvrtc(version, reason)) return reason;
  for (int i = 0; i < std::min(count, kMostDevices); ++i) {
    int ordinal = 0;
    Context context = nullptr;
    char name[128] = {};
    size_t bytes = 0;
    int major = 0, minor = 0, cores = 0;
    try {
      check(d->device_get(&ordinal, i), "a GPU cannot be opened");
      check(d->retain_context(&context, ordinal), "a GPU cannot be opened");
      InContext here(context);
      d->device_name(name, sizeof(name) - 1, ordinal);
      d->device_memory(&bytes, ordinal);
      d->device_attribute(&major, Attribute::major, ordinal);
      d->device_attribute(&minor, Attribute::minor, ordinal);
      d->device_attribute(&cores, Attribute::multiprocessors, ordinal);
      gpu::Traits traits{.language = gpu::Language::cuda,
                         .name = name,
                         .architecture = cat("sm_", major, minor),
                         .float64 = true,
                         .unified = false,
                         .most_threads = 1024,
                         .shared_bytes = 49152,  // of those that a text declares
                         .cores = uint32_t(cores),
                         .memory_bytes = bytes};
      // Never destroyed: buffers may outlive static destruction.
      gpu::register_machine(
          *new CudaMachine({DeviceKind::gpu, uint8_t(i)}, ordinal, context, std::move(traits), major * 10 + minor));
    } catch (const Error& error) {
      // Arrays of the GPUs before this one, if any, can be used.
      reason = error.what();
      break;
    }
  }
  return reason;
}

const bool registered = (register_finder(DeviceKind::gpu, find_gpus), true);

}  // namespace
}  // namespace funcnn::cuda
