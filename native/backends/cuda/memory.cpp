#include "backends/cuda/memory.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace funcnn::cuda {
namespace {

// Less is copied by the driver through memory of its own without delay.
constexpr size_t kSmall = size_t(64) << 10;

}  // namespace

bool Staging::prepare() {
  if (tried_) return ready_;
  tried_ = true;
  for (Piece& piece : pieces_)
    if (driver().allocate_pinned(&piece.host, kPieceBytes, 0) != Status::success ||
        driver().create_event(&piece.event, kEventWithoutTiming) != Status::success)
      return false;
  return ready_ = true;
}

void Staging::wait_for(Piece& piece) {
  if (!piece.busy) return;
  check(driver().wait_for_event(piece.event), "a copy failed");
  piece.busy = false;
}

void Staging::upload(const void* from, size_t bytes, Address to) {
  static const std::string name = "a copy to the GPU";
  stream_.flush();
  std::lock_guard lock(mutex_);
  if (bytes <= kSmall || !prepare()) {
    stream_.started(driver().to_device(to, from, bytes, stream_.handle()), name);
    return;
  }
  auto* source = static_cast<const std::byte*>(from);
  for (size_t at = 0, next = 0; at < bytes; at += kPieceBytes, next = (next + 1) % kPieces) {
    Piece& piece = pieces_[next];
    size_t part = std::min(kPieceBytes, bytes - at);
    wait_for(piece);
    std::memcpy(piece.host, source + at, part);
    stream_.started(driver().to_device(to + at, piece.host, part, stream_.handle()), name);
    check(driver().record_event(piece.event, stream_.handle()), "a copy failed");
    piece.busy = true;
  }
}

void Staging::download(Address from, size_t bytes, void* to) {
  static const std::string name = "a copy from the GPU";
  stream_.flush();
  std::lock_guard lock(mutex_);
  if (bytes <= kSmall || !prepare()) {
    stream_.started(driver().to_host(to, from, bytes, stream_.handle()), name);
    stream_.wait();
    return;
  }
  auto* target = static_cast<std::byte*>(to);
  auto start = [&](size_t at) {
    Piece& piece = pieces_[at / kPieceBytes % kPieces];
    wait_for(piece);
    stream_.started(driver().to_host(piece.host, from + at, std::min(kPieceBytes, bytes - at), stream_.handle()), name);
    check(driver().record_event(piece.event, stream_.handle()), "a copy failed");
    piece.busy = true;
  };
  size_t ahead = 0;
  for (size_t at = 0; at < bytes; at += kPieceBytes) {
    for (; ahead < bytes && ahead < at + kPieces * kPieceBytes; ahead += kPieceBytes) start(ahead);
    Piece& piece = pieces_[at / kPieceBytes % kPieces];
    wait_for(piece);
    std::memcpy(target + at, piece.host, std::min(kPieceBytes, bytes - at));
  }
}

GpuMemory::GpuMemory(Device device, int ordinal, Stream& stream, size_t total)
    : DeviceMemory(device), stream_(stream), total_(total), staging_(stream) {
  int pools = 0;
  driver().device_attribute(&pools, Attribute::memory_pools, ordinal);
  if (pools && driver().default_pool(&pool_, ordinal) == Status::success) {
    // What we let go of stays at hand: to take memory from the system costs more than most kernels.
    uint64_t keep = UINT64_MAX;
    driver().set_pool_attribute(pool_, kReleaseThreshold, &keep);
  } else {
    pool_ = nullptr;
  }
  set_cache_limit(total / 4);
}

Block GpuMemory::allocate(size_t capacity) {
  if (capacity > total_) return {};
  InContext here(stream_.context());
  stream_.do_what_waits();
  Address address = 0;
  auto ask = [&] {
    return pool_ ? driver().allocate_on(&address, capacity, stream_.handle()) : driver().allocate(&address, capacity);
  };
  Status status = ask();
  if (status == Status::out_of_memory) {
    // Work that is still to run holds memory which was let go of.
    stream_.wait();
    trim();
    status = ask();
    if (status == Status::out_of_memory) return {};
  }
  check(status, "memory cannot be had");
  return {nullptr, at(address)};
}

void GpuMemory::release(Block block, size_t /*capacity*/) {
  stream_.later([this, block] {
    if (pool_) {
      driver().free_on(address_of(block), stream_.handle());
    } else {
      driver().synchronize(stream_.handle());
      driver().free(address_of(block));
    }
  });
}

void GpuMemory::trim() {
  stream_.do_what_waits();
  if (!pool_) return;
  InContext here(stream_.context());
  driver().synchronize(stream_.handle());
  driver().trim_pool(pool_, 0);
}

void GpuMemory::download(const Block& from, size_t offset, size_t bytes, void* to) {
  if (bytes == 0) return;
  InContext here(stream_.context());
  staging_.download(address_of(from) + offset, bytes, to);
}

void GpuMemory::upload(const void* from, size_t bytes, const Block& to, size_t offset) {
  if (bytes == 0) return;
  InContext here(stream_.context());
  staging_.upload(from, bytes, address_of(to) + offset);
}

}  // namespace funcnn::cuda
