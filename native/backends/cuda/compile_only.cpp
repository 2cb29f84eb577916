// FUNCNN_CUDA=compile: see setting.h.
#include <cstdlib>
#include <cstring>

#include "backends/cuda/compiler.h"
#include "backends/cuda/machine.h"
#include "base/error.h"

namespace funcnn::cuda {
namespace {

constexpr Device kDevice{DeviceKind::gpu, 0};

class ZeroMemory final : public DeviceMemory {
 public:
  ZeroMemory() : DeviceMemory(kDevice) {}
  void download(const Block& from, size_t offset, size_t bytes, void* to) override {
    if (bytes) std::memcpy(to, static_cast<std::byte*>(from.native) + offset, bytes);
  }
  void upload(const void* from, size_t bytes, const Block& to, size_t offset) override {
    if (bytes) std::memcpy(static_cast<std::byte*>(to.native) + offset, from, bytes);
  }

 protected:
  Block allocate(size_t capacity) override { return {nullptr, std::calloc(capacity, 1)}; }
  void release(Block block, size_t /*capacity*/) override { std::free(block.native); }
};

class NoQueue final : public Queue {
 public:
  Ref<Event> record() override { return nullptr; }
  void after(const Ref<Event>& event) override { event->wait(); }
};

class CompileOnly final : public gpu::Machine {
 public:
  const gpu::Traits& traits() const override { return traits_; }
  Device device() const override { return kDevice; }
  DeviceMemory& memory() override { return memory_; }
  Queue& queue() override { return queue_; }
  Ref<gpu::Pipeline> pipeline(const gpu::Source& source) override { return compiler_.kernel(source); }
  void launch(const gpu::Launch& launch) override {
    auto& kernel = static_cast<CompiledKernel&>(*launch.pipeline);
    const gpu::Source& source = kernel.source();
    for (size_t i = launch.read_only; i < launch.operands.size(); ++i)
      if (!launch.operands[i].buffer) throw Error(cat("CUDA: ", source.name, " would write to a scalar of the host"));
    if (launch.groups.y > 65535 || launch.groups.z > 65535)
      throw Error(cat("CUDA: ", source.name, " asks for too many groups"));
    kernel.image();
  }
  bool addresses() const override { return true; }
  uint64_t address(const Operand& operand) const override { return uint64_t(operand.offset) + 64; }
  void clear_cache() override { compiler_.clear(); }

 private:
  // As of an H100.
  gpu::Traits traits_{.language = gpu::Language::cuda,
                      .name = "no GPU, compiled for an H100",
                      .architecture = "sm_90",
                      .float64 = true,
                      .unified = false,
                      .most_threads = 1024,
                      .shared_bytes = 49152,
                      .cores = 132,
                      .most_operands = 256,
                      .memory_bytes = size_t(1) << 36};
  ZeroMemory memory_;
  NoQueue queue_;
  Compiler compiler_{target_for(90), [] {}};
};

}  // namespace

gpu::Machine& compile_only_machine() {
  static auto* machine = new CompileOnly;
  return *machine;
}

}  // namespace funcnn::cuda
