// Blocks of memory that the host sees too.
#pragma once

#include <atomic>
#include <mutex>

#include "backends/metal/messages.h"
#include "base/memory.h"

namespace funcnn::metal {

class MetalQueue;

// An MTLBuffer, and what the queue remembers of it. Blocks name it by its address.
struct Room {
  Owned buffer;
  // Guarded by the queue's lock: launches since the last barrier that touch it, and the last command buffers that do.
  uint64_t read_since = 0, written_since = 0;        // numbers of barriers
  uint64_t resident_in = 0;                          // the command buffer that makes it so for kernels with addresses
  unsigned resident_for = 0;                         // the uses that it is told of
  std::atomic<uint64_t> last_use{0}, last_write{0};  // numbers of command buffers
};
inline Room& room_of(const Block& block) { return *static_cast<Room*>(block.native); }

class MetalMemory final : public DeviceMemory {
 public:
  MetalMemory(Device device, Id metal_device, MetalQueue& queue);
  void download(const Block& from, size_t offset, size_t bytes, void* to) override;
  void upload(const void* from, size_t bytes, const Block& to, size_t offset) override;
  bool shares(const Block& block) const override { return block.native && block.host; }

  // Blocks outside the pool, for the host's.
  Block allocate(size_t capacity) override;
  void release(Block block, size_t capacity) override;

 private:
  Id small_buffer(size_t capacity);

  Id device_;
  MetalQueue& queue_;
  size_t largest_;
  std::mutex heap_mutex_;
  Owned heap_;  // the one that small blocks come from
};

}  // namespace funcnn::metal
