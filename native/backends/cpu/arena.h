// Memory that a thread keeps from kernel to kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace funcnn::cpu {

// Aligned to 64 bytes; it only grows. To be used as a thread_local.
class Arena {
 public:
  std::byte* get(size_t bytes) {
    if (bytes > size_) {
      size_ = bytes + bytes / 2 + 4096;
      memory_.reset(new std::byte[size_ + 64]);
      start_ = memory_.get() + (64 - reinterpret_cast<uintptr_t>(memory_.get()) % 64);
    }
    return start_;
  }

 private:
  std::unique_ptr<std::byte[]> memory_;
  std::byte* start_ = nullptr;
  size_t size_ = 0;
};

}  // namespace funcnn::cpu
