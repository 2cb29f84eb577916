// Memory of a GPU, in the order of its stream, and the way there through pinned memory of the host.
#pragma once

#include <array>
#include <mutex>

#include "backends/cuda/stream.h"
#include "base/memory.h"

namespace funcnn::cuda {

// Pieces of the host's memory that the GPU copies from and to by itself.
class Staging {
 public:
  explicit Staging(Stream& stream) : stream_(stream) {}
  void upload(const void* from, size_t bytes, Address to);
  void download(Address from, size_t bytes, void* to);

 private:
  static constexpr size_t kPieces = 4, kPieceBytes = size_t(4) << 20;
  struct Piece {
    void* host = nullptr;
    EventHandle event = nullptr;
    bool busy = false;
  };
  bool prepare();
  void wait_for(Piece& piece);

  Stream& stream_;
  std::mutex mutex_;
  bool tried_ = false, ready_ = false;
  std::array<Piece, kPieces> pieces_;
};

class GpuMemory final : public DeviceMemory {
 public:
  GpuMemory(Device device, int ordinal, Stream& stream, size_t total);
  void download(const Block& from, size_t offset, size_t bytes, void* to) override;
  void upload(const void* from, size_t bytes, const Block& to, size_t offset) override;
  // Give back to the driver what it keeps for us.
  void trim();

 protected:
  Block allocate(size_t capacity) override;
  void release(Block block, size_t capacity) override;

 private:
  Stream& stream_;
  const size_t total_;
  Pool pool_ = nullptr;  // null: the chip has no memory in the order of a stream
  Staging staging_;
};

// The address of a block.
inline Address address_of(const Block& block) { return Address(reinterpret_cast<uintptr_t>(block.native)); }

}  // namespace funcnn::cuda
