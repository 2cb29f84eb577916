#include "backends/metal/memory.h"

#include <cstring>

#include "backends/metal/queue.h"

namespace funcnn::metal {
namespace {

// A buffer of its own takes whole pages: smaller ones share heaps.
constexpr size_t kSmall = 2048;
constexpr size_t kHeap = size_t(1) << 20;
constexpr size_t kAlignment = 64;  // of blocks; Metal promises no more than a dtype needs for those of a heap

}  // namespace

MetalMemory::MetalMemory(Device device, Id metal_device, MetalQueue& queue)
    : DeviceMemory(device),
      device_(metal_device),
      queue_(queue),
      largest_(size_t(messages().largest_buffer(metal_device))) {
  // What was written in memory that is handed out again would count as written.
  if (responds(metal_device, messages().checks_lengths.selector())) set_cache_limit(0);
}

void MetalMemory::download(const Block& from, size_t offset, size_t bytes, void* to) {
  queue_.wait_for_command_buffer(room_of(from).last_write.load(std::memory_order_acquire));
  std::memcpy(to, from.host + offset, bytes);
}

void MetalMemory::upload(const void* from, size_t bytes, const Block& to, size_t offset) {
  queue_.wait_for_command_buffer(room_of(to).last_use.load(std::memory_order_acquire));
  std::memcpy(to.host + offset, from, bytes);
}

Block MetalMemory::allocate(size_t capacity) {
  check_not_forked();
  if (largest_ && capacity > largest_) return {};
  Pool pool;
  Owned buffer(capacity <= kSmall ? small_buffer(capacity) : nullptr);
  if (!buffer) buffer = Owned(messages().new_buffer(device_, capacity, kStorageShared));
  if (!buffer) {
    // Command buffers may hold what the pool has given back.
    queue_.drain();
    buffer = Owned(messages().new_buffer(device_, capacity, kStorageShared));
  }
  if (!buffer) return {};
  auto* host = static_cast<std::byte*>(messages().contents(buffer.get()));
  if (reinterpret_cast<uintptr_t>(host) % kAlignment != 0) {
    buffer = Owned(messages().new_buffer(device_, capacity, kStorageShared));
    host = static_cast<std::byte*>(messages().contents(buffer.get()));
  }
  if (!host) return {};
  auto* room = new Room;
  room->buffer = std::move(buffer);
  return {host, room};
}

// Null where the device has no heaps.
Id MetalMemory::small_buffer(size_t capacity) {
  const Messages& say = messages();
  std::lock_guard lock(heap_mutex_);
  Id made = heap_ ? say.new_buffer(heap_.get(), capacity, kStorageShared) : nullptr;
  if (made || !responds(device_, say.new_heap.selector())) return made;
  Owned descriptor(say.init(say.alloc(runtime().class_of("MTLHeapDescriptor"))));
  say.set_size(descriptor.get(), kHeap);
  say.set_storage(descriptor.get(), kStorageShared);
  say.set_tracking(descriptor.get(), kTracked);
  // Its buffers keep the heap before alive.
  heap_ = Owned(say.new_heap(device_, descriptor.get()));
  return heap_ ? say.new_buffer(heap_.get(), capacity, kStorageShared) : nullptr;
}

// Command buffers keep the buffers they use, so nothing that is still to run can need the block.
void MetalMemory::release(Block block, size_t /*capacity*/) {
  Room* room = &room_of(block);
  if (forked()) return;  // the objects are the parent's
  Pool pool;
  delete room;
}

}  // namespace funcnn::metal
