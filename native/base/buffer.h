// Memory of arrays: reference-counted blocks from the pool of a device, or adopted from elsewhere.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "base/memory.h"
#include "base/recycled.h"
#include "base/ref.h"

namespace funcnn {

class Buffer final : public RefCounted, public Recycled<Buffer, 1024> {
 public:
  // A block from the pool of `memory`, aligned to 64 bytes (not cleared). Raises OutOfMemoryError.
  static Ref<Buffer> allocate(DeviceMemory& memory, size_t bytes);
  static Ref<Buffer> allocate(Device device, size_t bytes) { return allocate(device_memory(device), bytes); }
  // As many as there are sizes, or none.
  static void allocate(DeviceMemory& memory, std::span<const size_t> bytes, std::span<Ref<Buffer>> out);
  // Host memory of somebody else; `release` runs when the last reference goes.
  static Ref<Buffer> adopt(void* data, size_t bytes, std::function<void()> release);
  // The memory of `of` as memory of a device that shares it.
  static Ref<Buffer> share(DeviceMemory& as, Ref<Buffer> of);

  DeviceMemory& memory() const noexcept { return *memory_; }
  Device device() const noexcept { return memory_->device(); }
  const Block& block() const noexcept { return block_; }
  // Where the host sees the memory; null where it cannot.
  std::byte* host() const noexcept { return block_.host; }
  size_t size() const noexcept { return size_; }
  // Whether results may be written here: false for adopted and shared memory.
  bool owned() const noexcept { return !release_; }
  ~Buffer();

 private:
  Buffer(DeviceMemory& memory, Block block, size_t size, size_t capacity, std::function<void()> release)
      : memory_(&memory), block_(block), size_(size), capacity_(capacity), release_(std::move(release)) {}

  DeviceMemory* memory_;
  Block block_;
  size_t size_;
  size_t capacity_;
  std::function<void()> release_;
};

// References to one small block of which many values have parts: those that a thread lets go of one after another are
// counted down together, since counting is a locked instruction. The block goes with the last of them, as ever, where
// that one is among them; at the latest it goes when the thread lets go of another.
class SharedBlock {
 public:
  // Of larger ones no reference waits.
  static constexpr size_t kMostBytes = 1024;

  // Takes over a reference, of which there may be none.
  void release(Buffer* block) noexcept {
    if (!block) return;
    if (block != block_) {
      if (block_) release();
      if (block->size() > kMostBytes || block->use_count() == 1) {
        Ref<Buffer>::counted(block);
        return;
      }
      block_ = block;
    }
    ++times_;
    if (block->use_count() == times_) release();
  }
  void release() noexcept {
    Buffer* block = std::exchange(block_, nullptr);
    if (block && block->release(std::exchange(times_, 0))) delete block;
  }

 private:
  Buffer* block_ = nullptr;
  uint32_t times_ = 0;
};

}  // namespace funcnn
