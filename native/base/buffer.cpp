#include "base/buffer.h"

namespace funcnn {

Ref<Buffer> Buffer::allocate(DeviceMemory& memory, size_t bytes) {
  size_t capacity = block_capacity(bytes);
  return Ref<Buffer>(new Buffer(memory, memory.take(capacity), bytes, capacity, nullptr));
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
    memory_->give(block_, capacity_);
  }
}

}  // namespace funcnn
