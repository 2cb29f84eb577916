// Memory of a device: where its blocks come from, how the host reaches them, and the pool that reuses them.
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/device.h"

namespace funcnn {

struct Block {
  std::byte* host = nullptr;  // the address where the host sees it; null where it cannot
  void* native = nullptr;     // the device's own name for it
  explicit operator bool() const { return host || native; }
};

struct MemoryStats {
  size_t active;  // bytes in use by buffers
  size_t peak;    // the most `active` has been since the peak was reset
  size_t cached;  // freed bytes kept for reuse
};

// Freed blocks are kept by size class and handed out again. Back ends derive from it and register themselves.
class DeviceMemory {
 public:
  explicit DeviceMemory(Device device) : device_(device) {}
  virtual ~DeviceMemory() = default;
  DeviceMemory(const DeviceMemory&) = delete;
  Device device() const { return device_; }

  // Copy between a block and the host, after the work handed to the device so far.
  virtual void download(const Block& from, size_t offset, size_t bytes, void* to) = 0;
  virtual void upload(const void* from, size_t bytes, const Block& to, size_t offset) = 0;
  // Whether this device can work in a block of another's, once the work on it there is complete.
  virtual bool shares(const Block& /*block*/) const { return false; }

  // A block of this capacity; raises OutOfMemoryError.
  Block take(size_t capacity);
  // One of each capacity, or none.
  void take(std::span<const size_t> capacities, std::span<Block> out);
  void give(Block block, size_t capacity);

  MemoryStats stats();
  void reset_peak();
  // Return cached blocks to the system.
  void clear_cache();
  // The most bytes `cached` may reach; returns the limit before.
  size_t set_cache_limit(size_t bytes);
  // Refuse to take more than this many active bytes (0: no limit); returns the limit before.
  size_t set_limit(size_t bytes);
  size_t limit() const { return limit_.load(std::memory_order_relaxed); }

 protected:
  // Aligned to 64 bytes; null where there is none left.
  virtual Block allocate(size_t capacity) = 0;
  virtual void release(Block block, size_t capacity) = 0;

 private:
  friend void lock_memory();
  friend void unlock_memory();
  Block take_locked(size_t capacity);
  void give_locked(Block block, size_t capacity);
  void trim_locked(size_t bytes);
  [[noreturn]] void throw_out_of_memory(size_t capacity) const;

  Device device_;
  std::mutex mutex_;
  std::vector<std::vector<Block>> free_;  // by size class
  size_t active_ = 0, peak_ = 0, cached_ = 0;
  std::atomic<size_t> limit_{0};
  size_t cache_limit_ = size_t(1) << 30;
};

// Where the host's blocks come from once a device that shares its memory is in use, so that it can work in them.
struct BlockSource {
  Block (*allocate)(size_t capacity);  // null: the host's allocator has to do
  void (*release)(Block block, size_t capacity);
};
// `source` lives on.
void set_host_source(const BlockSource& source);

// Never to be destroyed: buffers may outlive static destruction.
void register_memory(DeviceMemory& memory);
// `find` is called once, when somebody first asks for a device of this kind: it registers what the machine has, or says
// why it has none (empty: that goes without saying).
void register_finder(DeviceKind kind, std::string (*find)());
// Raises ValueError where this build or machine has no such device.
DeviceMemory& device_memory(Device device);
// Around a fork: no thread may be inside a pool.
void lock_memory();
void unlock_memory();

// What a block of `bytes` takes from its pool.
size_t block_capacity(size_t bytes);
// The number of such a capacity among all of them, in order.
size_t size_class(size_t capacity);

}  // namespace funcnn
