#include "base/buffer.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <vector>

#include "base/error.h"

namespace funcnn {
namespace {

constexpr size_t kAlignment = 64;

class Pool {
 public:
  std::byte* take(size_t capacity) {
    std::lock_guard lock(mutex_);
    if (limit_ && active_ + capacity > limit_) throw OutOfMemoryError(describe(capacity));
    std::byte* block = nullptr;
    if (auto it = free_.find(capacity); it != free_.end() && !it->second.empty()) {
      block = it->second.back();
      it->second.pop_back();
      cached_ -= capacity;
    } else {
      // Keep what the process holds within a quarter of what it needed at most.
      size_t allowance = std::max(peak_, active_ + capacity) / 4 * 5;
      if (active_ + cached_ + capacity > allowance)
        trim_locked(allowance > active_ + capacity ? allowance - active_ - capacity : 0);
      block = system_allocate(capacity);
      if (!block) {
        clear_locked();
        block = system_allocate(capacity);
      }
      if (!block) throw OutOfMemoryError(describe(capacity));
    }
    active_ += capacity;
    peak_ = std::max(peak_, active_);
    return block;
  }

  void give(std::byte* block, size_t capacity) {
    std::lock_guard lock(mutex_);
    active_ -= capacity;
    if (capacity > cache_limit_) {
      system_free(block);
      return;
    }
    trim_locked(cache_limit_ - capacity);
    free_[capacity].push_back(block);
    cached_ += capacity;
  }

  MemoryStats stats() {
    std::lock_guard lock(mutex_);
    return {active_, peak_, cached_};
  }
  void reset_peak() {
    std::lock_guard lock(mutex_);
    peak_ = active_;
  }
  void clear() {
    std::lock_guard lock(mutex_);
    clear_locked();
  }
  size_t set_cache_limit(size_t bytes) {
    std::lock_guard lock(mutex_);
    if (bytes < cached_) clear_locked();
    return std::exchange(cache_limit_, bytes);
  }
  std::mutex& mutex() { return mutex_; }
  size_t limit() const { return limit_.load(std::memory_order_relaxed); }
  size_t set_limit(size_t bytes) {
    std::lock_guard lock(mutex_);
    return limit_.exchange(bytes);
  }

 private:
  static std::byte* system_allocate(size_t capacity) {
    return static_cast<std::byte*>(::operator new(capacity, std::align_val_t(kAlignment), std::nothrow));
  }
  static void system_free(std::byte* block) { ::operator delete(block, std::align_val_t(kAlignment)); }
  // Drop cached blocks, the largest first, until at most `bytes` are left.
  void trim_locked(size_t bytes) {
    while (cached_ > bytes) {
      auto it = std::prev(free_.end());
      if (it->second.empty()) {
        free_.erase(it);
        continue;
      }
      system_free(it->second.back());
      it->second.pop_back();
      cached_ -= it->first;
    }
  }
  void clear_locked() {
    for (auto& [capacity, blocks] : free_)
      for (std::byte* block : blocks) system_free(block);
    free_.clear();
    cached_ = 0;
  }
  std::string describe(size_t capacity) const {
    return cat("out of memory: ", capacity, " bytes asked for, ", active_, " in use",
               limit() ? cat(", the limit is ", limit()) : std::string());
  }

  std::mutex mutex_;
  std::map<size_t, std::vector<std::byte*>> free_;
  size_t active_ = 0, peak_ = 0, cached_ = 0;
  std::atomic<size_t> limit_{0};
  size_t cache_limit_ = size_t(1) << 30;
};

// Never destroyed: buffers may outlive static destruction.
Pool& pool() {
  static Pool* instance = new Pool;
  return *instance;
}

}  // namespace

// Capacities step by an eighth of a power of two, so a block of one class serves every request of that class.
size_t block_capacity(size_t bytes) {
  if (bytes <= 512) return std::max<size_t>((bytes + 63) / 64 * 64, 64);
  size_t step = std::bit_floor(bytes - 1) / 8;
  return (bytes + step - 1) / step * step;
}

Ref<Buffer> Buffer::allocate(size_t bytes) {
  size_t capacity = block_capacity(bytes);
  return Ref<Buffer>(new Buffer(pool().take(capacity), bytes, capacity, nullptr));
}

Ref<Buffer> Buffer::adopt(void* data, size_t bytes, std::function<void()> release) {
  if (!release) release = [] {};
  return Ref<Buffer>(new Buffer(static_cast<std::byte*>(data), bytes, 0, std::move(release)));
}

Buffer::~Buffer() {
  if (release_) {
    release_();
  } else {
    pool().give(data_, capacity_);
  }
}

MemoryStats memory_stats() { return pool().stats(); }
void reset_peak_memory() { pool().reset_peak(); }
void clear_memory_cache() { pool().clear(); }
size_t set_cache_limit(size_t bytes) { return pool().set_cache_limit(bytes); }
size_t set_memory_limit(size_t bytes) { return pool().set_limit(bytes); }
void lock_memory() { pool().mutex().lock(); }
void unlock_memory() { pool().mutex().unlock(); }
size_t memory_limit() { return pool().limit(); }

}  // namespace funcnn
