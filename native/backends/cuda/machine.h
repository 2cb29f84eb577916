// A GPU of NVIDIA below the shared back end.
#pragma once

#include "backends/cuda/compiler.h"
#include "backends/cuda/memory.h"
#include "backends/cuda/stream.h"
#include "backends/gpu/machine.h"

namespace funcnn::cuda {

class CudaMachine final : public gpu::Machine {
 public:
  // `capability`: 90 is 9.0.
  CudaMachine(Device device, int ordinal, Context context, gpu::Traits traits, int capability);

  const gpu::Traits& traits() const override { return traits_; }
  Device device() const override { return device_; }
  DeviceMemory& memory() override { return memory_; }
  Queue& queue() override { return stream_; }
  Stream& stream() { return stream_; }
  Ref<gpu::Pipeline> pipeline(const gpu::Source& source) override { return compiler_.kernel(source); }
  void launch(const gpu::Launch& launch) override;
  bool addresses() const override { return true; }
  uint64_t address(const Operand& operand) const override;
  void clear_cache() override {
    compiler_.clear();
    memory_.trim();
  }

 private:
  const Device device_;
  const gpu::Traits traits_;
  Stream stream_;
  GpuMemory memory_;
  Compiler compiler_;
};

// A machine that compiles every kernel and runs none: its memory holds zeros.
gpu::Machine& compile_only_machine();

}  // namespace funcnn::cuda
