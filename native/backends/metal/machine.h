// A Metal device below the shared back end.
#pragma once

#include <mutex>
#include <string>
#include <unordered_map>

#include "backends/gpu/machine.h"
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

  // A block of the host that the device can work in.
  Block host_block(size_t capacity) { return memory_.allocate(capacity); }
  void release(Block block) { memory_.release(block); }

  Id metal_device() const { return device_.get(); }
  void drain() { queue_.drain(); }
  void finish() { queue_.finish(); }

 private:
  Owned compile(const gpu::Source& source);

  Owned device_;
  gpu::Traits traits_;
  MetalQueue queue_;
  MetalMemory memory_;
  std::mutex mutex_;
  std::unordered_map<std::string, Ref<gpu::Pipeline>> pipelines_;  // by text
};

}  // namespace funcnn::metal
