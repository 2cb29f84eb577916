#include "base/memory.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <new>
#include <utility>

#include "base/error.h"
#include "base/interpreter.h"
#include "base/large_pages.h"

namespace funcnn {
namespace {

constexpr size_t kAlignment = 64;
// Capacities up to this are multiples of the alignment.
constexpr size_t kFewBytes = 512;
// Beyond that they step by a part of a power of two, an eighth, from 1 MB on a 32nd. Powers and parts by their
// logarithms.
constexpr size_t kFew = 9, kMany = 20;
static_assert(kFewBytes == size_t(1) << kFew);
constexpr size_t parts_of(size_t power) { return power >= kMany ? 5 : 3; }
constexpr size_t log2_of(size_t power) { return size_t(std::bit_width(power)) - 1; }
// The first class of capacities above this power of two.
constexpr size_t first_class(size_t power) {
  const size_t below = kFewBytes / kAlignment + ((std::min(power, kMany) - kFew) << parts_of(kFew));
  return power > kMany ? below + ((power - kMany) << parts_of(kMany)) : below;
}

std::atomic<const BlockSource*> host_source{nullptr};

class HostMemory final : public DeviceMemory {
 public:
  HostMemory() : DeviceMemory(kCpu) {}
  void download(const Block& from, size_t offset, size_t bytes, void* to) override {
    std::memcpy(to, from.host + offset, bytes);
  }
  void upload(const void* from, size_t bytes, const Block& to, size_t offset) override {
    std::memcpy(to.host + offset, from, bytes);
  }
  bool shares(const Block& block) const override { return block.host != nullptr; }

 protected:
  Block allocate(size_t capacity) override {
    if (const BlockSource* source = host_source.load(std::memory_order_acquire))
      if (Block block = source->allocate(capacity)) return block;
    if (in_large_pages(capacity)) return {map_large(capacity), nullptr};
    return {static_cast<std::byte*>(::operator new(capacity, std::align_val_t(kAlignment), std::nothrow)), nullptr};
  }
  void release(Block block, size_t capacity) override {
    if (block.native)
      host_source.load(std::memory_order_acquire)->release(block, capacity);
    else if (in_large_pages(capacity))
      unmap_large(block.host, capacity);
    else
      ::operator delete(block.host, std::align_val_t(kAlignment));
  }

 private:
  static bool in_large_pages(size_t capacity) { return kHasLargePages && capacity >= kLargePage; }
};

using Registry = std::array<std::array<std::atomic<DeviceMemory*>, kMostDevices>, kDeviceKinds>;

Registry& registry() {
  static auto* memories = [] {
    auto* made = new Registry{};
    (*made)[size_t(kCpu.kind)][0] = new HostMemory;
    return made;
  }();
  return *memories;
}

// What looks for devices of a kind when they are first asked for, and why there were none.
struct Finders {
  std::once_flag asked;
  std::vector<std::string (*)()> finders;
  std::string reasons;
};
Finders& finders(DeviceKind kind) {
  static auto* all = new std::array<Finders, kDeviceKinds>;
  return (*all)[size_t(kind)];
}

// The lock is let go of while this lives.
class Outside {
 public:
  explicit Outside(std::mutex& mutex) : mutex_(mutex) { mutex_.unlock(); }
  ~Outside() { mutex_.lock(); }
  Outside(const Outside&) = delete;

 private:
  std::mutex& mutex_;
};

// The inverse of `size_class`.
size_t class_capacity(size_t c) {
  if (c < kFewBytes / kAlignment) return (c + 1) * kAlignment;
  size_t power = kFew;
  while (first_class(power + 1) <= c) ++power;
  return (size_t(1) << power) + ((c - first_class(power) + 1) << (power - parts_of(power)));
}

template <class F>
void for_each_memory(F&& f) {
  for (auto& kind : registry())
    for (auto& memory : kind)
      if (DeviceMemory* m = memory.load(std::memory_order_acquire)) f(*m);
}

}  // namespace

Block DeviceMemory::take(size_t capacity) {
  std::lock_guard lock(mutex_);
  return take_locked(capacity);
}

void DeviceMemory::take(std::span<const size_t> capacities, std::span<Block> out) {
  std::lock_guard lock(mutex_);
  size_t taken = 0;
  try {
    for (; taken < capacities.size(); ++taken) out[taken] = take_locked(capacities[taken]);
  } catch (...) {
    while (taken-- > 0) give_locked(out[taken], capacities[taken]);
    throw;
  }
}

Block DeviceMemory::take_locked(size_t capacity) {
  if (size_t most = limit(); most && active_ + capacity > most) throw_out_of_memory(capacity);
  Block block;
  if (size_t c = size_class(capacity); c < free_.size() && !free_[c].empty()) {
    block = free_[c].back();
    free_[c].pop_back();
    cached_ -= capacity;
    active_ += capacity;
  } else {
    // Keep what the process holds within a quarter of what it needed at most.
    size_t allowance = std::max(peak_, active_ + capacity) / 4 * 5;
    if (active_ + cached_ + capacity > allowance)
      trim_locked(allowance > active_ + capacity ? allowance - active_ - capacity : 0);
    // Outside, since a device may wait here for its work, and others let go of memory meanwhile.
    auto ask = [&] {
      Outside outside(mutex_);
      return allocate(capacity);
    };
    active_ += capacity;
    try {
      block = ask();
      if (!block) {
        trim_locked(0);
        block = ask();
      }
    } catch (...) {
      active_ -= capacity;
      throw;
    }
    if (!block) {
      active_ -= capacity;
      throw_out_of_memory(capacity);
    }
  }
  peak_ = std::max(peak_, active_);
  return block;
}

void DeviceMemory::give(Block block, size_t capacity) {
  std::lock_guard lock(mutex_);
  give_locked(block, capacity);
}

void DeviceMemory::give_locked(Block block, size_t capacity) {
  active_ -= capacity;
  if (capacity > cache_limit_) {
    release(block, capacity);
    return;
  }
  trim_locked(cache_limit_ - capacity);
  size_t c = size_class(capacity);
  if (c >= free_.size()) free_.resize(c + 1);
  free_[c].push_back(block);
  cached_ += capacity;
}

MemoryStats DeviceMemory::stats() {
  std::lock_guard lock(mutex_);
  return {active_, peak_, cached_};
}
void DeviceMemory::reset_peak() {
  std::lock_guard lock(mutex_);
  peak_ = active_;
}
void DeviceMemory::clear_cache() {
  std::lock_guard lock(mutex_);
  trim_locked(0);
}
size_t DeviceMemory::set_cache_limit(size_t bytes) {
  std::lock_guard lock(mutex_);
  if (bytes < cached_) trim_locked(0);
  return std::exchange(cache_limit_, bytes);
}
size_t DeviceMemory::set_limit(size_t bytes) {
  std::lock_guard lock(mutex_);
  return limit_.exchange(bytes);
}

// Drop cached blocks, the largest first, until at most `bytes` are left.
void DeviceMemory::trim_locked(size_t bytes) {
  while (cached_ > bytes) {
    while (free_.back().empty()) free_.pop_back();
    const size_t capacity = class_capacity(free_.size() - 1);
    release(free_.back().back(), capacity);
    free_.back().pop_back();
    cached_ -= capacity;
  }
}

void DeviceMemory::throw_out_of_memory(size_t capacity) const {
  throw OutOfMemoryError(cat("out of memory", device_ == kCpu ? "" : " of " + device_name(device_), ": ", capacity,
                             " bytes asked for, ", active_, " in use",
                             limit() ? cat(", the limit is ", limit()) : std::string()));
}

void set_host_source(const BlockSource& source) { host_source.store(&source, std::memory_order_release); }

void register_memory(DeviceMemory& memory) {
  Device device = memory.device();
  registry()[size_t(device.kind)][device.index].store(&memory, std::memory_order_release);
}

void register_finder(DeviceKind kind, std::string (*find)()) { finders(kind).finders.push_back(find); }

DeviceMemory& device_memory(Device device) {
  auto& place = registry()[size_t(device.kind)][device.index];
  DeviceMemory* found = place.load(std::memory_order_acquire);
  if (!found) {
    Finders& of_kind = finders(device.kind);
    without_interpreter([&] {
      std::call_once(of_kind.asked, [&] {
        for (auto find : of_kind.finders)
          if (std::string reason = find(); !reason.empty()) of_kind.reasons += "; " + reason;
      });
    });
    found = place.load(std::memory_order_acquire);
  }
  if (!found) {
    std::string present;
    for_each_memory([&](DeviceMemory& m) { present += (present.empty() ? "" : ", ") + device_name(m.device()); });
    throw ValueError(cat("there is no device ", device_name(device), " in this build or on this machine, which has ",
                         present, finders(device.kind).reasons));
  }
  return *found;
}

void lock_memory() {
  for_each_memory([](DeviceMemory& m) { m.mutex_.lock(); });
}
void unlock_memory() {
  for_each_memory([](DeviceMemory& m) { m.mutex_.unlock(); });
}

size_t size_class(size_t capacity) {
  if (capacity <= kFewBytes) return capacity / kAlignment - 1;
  const size_t power = log2_of(capacity - 1);
  return first_class(power) + ((capacity - (size_t(1) << power)) >> (power - parts_of(power))) - 1;
}

// A block of one class serves every request of that class. Large ones are few, and what they have too much would be
// much of what a plan takes.
size_t block_capacity(size_t bytes) {
  if (bytes <= kFewBytes) return std::max<size_t>((bytes + 63) / 64 * 64, 64);
  const size_t power = log2_of(bytes - 1), part = size_t(1) << (power - parts_of(power));
  return (bytes + part - 1) & ~(part - 1);
}

}  // namespace funcnn
