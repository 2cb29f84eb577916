// Parts of a result that are computed in pieces by several threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace funcnn::cpu {

// How many pieces each part lacks. Whoever brings the last one goes on with the part.
class PiecesLeft {
 public:
  void start(int64_t parts, int64_t pieces) {
    left_.reset();
    if (pieces == 1) return;
    left_.reset(new std::atomic<int32_t>[size_t(parts)]);
    for (int64_t i = 0; i < parts; ++i) left_[size_t(i)] = int32_t(pieces);
  }
  // A piece of the part is there; whether it was the last.
  bool last(int64_t part) { return !left_ || left_[size_t(part)].fetch_sub(1, std::memory_order_acq_rel) == 1; }

 private:
  std::unique_ptr<std::atomic<int32_t>[]> left_;
};

}  // namespace funcnn::cpu
