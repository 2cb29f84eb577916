#include "base/buffer.h"

#include "base/small_vector.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace funcnn {
namespace {

// Tells the address sanitizer, which sees whole blocks, how much of one may be touched; with 0 it waits in the pool.
void allow([[maybe_unused]] const Block& block, [[maybe_unused]] size_t bytes, [[maybe_unused]] size_t capacity) {
#if defined(__SANITIZE_ADDRESS__)
  if (!block.host || block.native) return;
  ASAN_UNPOISON_MEMORY_REGION(block.host, bytes);
  ASAN_POISON_MEMORY_REGION(block.host + bytes, capacity - bytes);
#endif
}

}  // namespace

Ref<Buffer> Buffer::allocate(DeviceMemory& memory, size_t bytes) {
  size_t capacity = block_capacity(bytes);
  auto made = Ref<Buffer>::first(new Buffer(memory, memory.take(capacity), bytes, capacity, nullptr));
  allow(made->block(), bytes, capacity);
  return made;
}

void Buffer::allocate(DeviceMemory& memory, std::span<const size_t> bytes, std::span<Ref<Buffer>> out) {
  SmallVector<Block, 32> blocks(bytes.size());
  SmallVector<size_t, 32> capacities;
  capacities.reserve(bytes.size());
  for (size_t b : bytes) capacities.push_back(block_capacity(b));
  memory.take(capacities, {blocks.data(), blocks.size()});
  size_t made = 0;
  try {
    for (; made < bytes.size(); ++made) {
      out[made] = Ref<Buffer>::first(new Buffer(memory, blocks[made], bytes[made], capacities[made], nullptr));
      allow(blocks[made], bytes[made], capacities[made]);
    }
  } catch (...) {
    for (size_t i = made; i < bytes.size(); ++i) memory.give(blocks[i], capacities[i]);
    while (made-- > 0) out[made] = nullptr;
    throw;
  }
}

Ref<Buffer> Buffer::adopt(void* data, size_t bytes, std::function<void()> release) {
  if (!release) release = [] {};
  return Ref<Buffer>(
      new Buffer(device_memory(kCpu), {static_cast<std::byte*>(data), nullptr}, bytes, 0, std::move(release)));
}

Ref<Buffer> Buffer::share(DeviceMemory& as, Ref<Buffer> of) {
  const Block block = of->block();
  const size_t bytes = of->size();
  return Ref<Buffer>(new Buffer(as, block, bytes, 0, [kept = std::move(of)] {}));
}

Buffer::~Buffer() {
  if (release_) {
    release_();
  } else {
    allow(block_, 0, capacity_);
    memory_->give(block_, capacity_);
  }
}

}  // namespace funcnn
