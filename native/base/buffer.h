// Memory of arrays: reference-counted blocks from a caching pool, or adopted from elsewhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "base/ref.h"

namespace funcnn {

class Buffer final : public RefCounted {
 public:
  // A block from the pool, aligned to 64 bytes (not cleared). Raises OutOfMemoryError.
  static Ref<Buffer> allocate(size_t bytes);
  // Memory of somebody else; `release` runs when the last reference goes.
  static Ref<Buffer> adopt(void* data, size_t bytes, std::function<void()> release);

  std::byte* data() const noexcept { return data_; }
  size_t size() const noexcept { return size_; }
  // Whether results may be written here: false for adopted memory.
  bool owned() const noexcept { return !release_; }
  ~Buffer();

 private:
  Buffer(std::byte* data, size_t size, size_t capacity, std::function<void()> release)
      : data_(data), size_(size), capacity_(capacity), release_(std::move(release)) {}

  std::byte* data_;
  size_t size_;
  size_t capacity_;
  std::function<void()> release_;
};

// What a block of `bytes` takes from the pool.
size_t block_capacity(size_t bytes);

struct MemoryStats {
  size_t active;  // bytes in use by buffers
  size_t peak;    // the most `active` has been since reset_peak_memory
  size_t cached;  // freed bytes kept for reuse
};
MemoryStats memory_stats();
void reset_peak_memory();
// Return cached blocks to the system.
void clear_memory_cache();
// The most bytes `cached` may reach; returns the limit before. Default: 1 GiB.
size_t set_cache_limit(size_t bytes);
// Refuse allocations beyond this many active bytes (0: no limit); returns the limit before.
size_t set_memory_limit(size_t bytes);
size_t memory_limit();
// Around a fork: no thread may be inside the pool.
void lock_memory();
void unlock_memory();

}  // namespace funcnn
