#include "backends/cuda/machine.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "backends/cuda/setting.h"
#include "backends/gpu/backend.h"
#include "base/error.h"

namespace funcnn::cuda {
namespace {

constexpr size_t kScalarBytes = 64;  // of a scalar in memory

}  // namespace

CudaMachine::CudaMachine(Device device, int ordinal, Context context, gpu::Traits traits, int capability)
    : device_(device),
      traits_(std::move(traits)),
      stream_(context),
      memory_(device, ordinal, stream_, traits_.memory_bytes),
      compiler_(target_for(capability), [this] { stream_.settle(); }) {}

uint64_t CudaMachine::address(const Operand& operand) const {
  return uint64_t(address_of(operand.buffer->block())) + uint64_t(operand.offset);
}

// Parameters of a kernel: the pointers, the scalars of the host where the kernel takes any, the values.
void CudaMachine::launch(const gpu::Launch& launch) {
  if (launch.groups.count() == 0 || launch.threads.count() == 0) return;
  auto& kernel = static_cast<CompiledKernel&>(*launch.pipeline);
  const gpu::Source& source = kernel.source();
  const gpu::Size3& g = launch.groups;
  if (g.y > 65535 || g.z > 65535)
    throw Error(cat("CUDA: ", source.name, " asks for ", g.x, " x ", g.y, " x ", g.z, " groups"));
  // Scalars of the host that the kernel wants in memory: rare, as kernels say where there may be some.
  struct Copied {
    GpuMemory& memory;
    SmallVector<Block, 4> blocks;
    ~Copied() {
      for (Block block : blocks) memory.give(block, kScalarBytes);
    }
  } copied{memory_, {}};
  SmallVector<Address, 16> addresses;
  for (size_t i = 0, one = 0; i < launch.operands.size(); ++i) {
    const Operand& operand = launch.operands[i];
    const bool may_be_scalar = one < source.ones.size() && source.ones[one] == i;
    one += may_be_scalar;
    Address address = 0;
    if (operand.buffer) {
      address = this->address(operand);
    } else if (!may_be_scalar) {
      if (i >= launch.read_only) throw Error(cat("CUDA: ", source.name, " would write to a scalar of the host"));
      const Block block = memory_.take(kScalarBytes);
      copied.blocks.push_back(block);
      if (operand.scalar) memory_.upload(operand.scalar, 8, block, 0);
      address = address_of(block);
    }
    addresses.push_back(address);
  }
  Function function = kernel.known_function();
  if (!function) {
    InContext here(stream_.context());
    function = kernel.function();
  }
  const Launch wanted{function,
                      g,
                      launch.threads,
                      uint32_t(launch.operands.size()),
                      uint32_t(source.ones.size()),
                      uint32_t(launch.values.size()),
                      uint32_t(launch.shared_bytes)};
  stream_.launch(wanted, source.name, [&](std::span<std::byte> bytes) {
    std::byte* pointer = bytes.data();
    std::byte* scalar = pointer + 8 * launch.operands.size();
    size_t one = 0;
    for (size_t i = 0; i < launch.operands.size(); ++i, pointer += 8) {
      const Operand& operand = launch.operands[i];
      std::memcpy(pointer, &addresses[i], sizeof(Address));
      if (one == source.ones.size() || source.ones[one] != i) continue;
      if (!operand.buffer && operand.scalar) std::memcpy(scalar + 8 * one, operand.scalar, 8);
      ++one;
    }
    if (!launch.values.empty())
      std::memcpy(scalar + 8 * source.ones.size(), launch.values.data(), launch.values.size());
  });
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
                         .most_operands = 256,
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
