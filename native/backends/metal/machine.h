// A Metal device below the shared back end.
#pragma once

#include "backends/gpu/machine.h"
#include "backends/metal/compiler.h"
#include "backends/metal/memory.h"
#include "backends/metal/queue.h"

namespace funcnn::metal {

class MetalMachine final : public gpu::Machine {
 public:
  MetalMachine(Device device, Owned metal_device);
  const gpu::Traits& traits() const override { return traits_; }
  Device device() const override { return memory_.device(); }
  DeviceMemory& memory() override { return memory_; }
  Queue& queue() override { return queue_; }
  Ref<gpu::Pipeline> pipeline(const gpu::Source& source) override;
  void launch(const gpu::Launch& launch) override { queue_.launch(launch); }
  uint64_t address(const Operand& operand) const override;
  bool addresses() const override { return addresses_; }

  // A block of the host that the device can work in.
  Block host_block(size_t capacity) { return memory_.allocate(capacity); }
  void release(Block block, size_t capacity) { memory_.release(block, capacity); }

  Id metal_device() const { return device_.get(); }
  void drain() { queue_.drain(); }
  // The process ends.
  void finish();

 private:
  Owned device_;
  gpu::Traits traits_;
  bool addresses_;
  Compiler compiler_;
  MetalQueue queue_;
  MetalMemory memory_;
};

}  // namespace funcnn::metal
