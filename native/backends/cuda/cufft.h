// cuFFT, loaded when the first transform is planned that it may be quicker at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "backends/cuda/stream.h"
#include "ops/fft.h"

namespace funcnn::cuda {

// Dense lines, as the library has them: one after another, or side by side, so that neighbours in memory are of
// neighbouring lines.
struct FourierLines {
  FftKind kind;
  bool side_by_side;
  int64_t length, count;
  auto operator<=>(const FourierLines&) const = default;
};

// How the library transforms such lines on a stream, without any factor. Whoever wants the same has the same plan,
// which goes with the last of them.
class FourierPlan {
 public:
  // null: the library is not there, does not start, or has no plan for them.
  static std::shared_ptr<FourierPlan> find(Stream& stream, const FourierLines& lines);
  ~FourierPlan();
  FourierPlan(const FourierPlan&) = delete;

  // Bytes that it wants while it runs.
  size_t workspace() const { return workspace_; }
  // Put a transform on the stream, after all that waits to be put there. Addresses are multiples of 8 bytes. From half
  // spectra it reads numbers that have no say, and writes over them; complex lines may be transformed where they are.
  void run(bool inverse, Address from, Address to, Address workspace);

 private:
  FourierPlan(Stream& stream, FftKind kind) : stream_(stream), kind_(kind) {}
  bool prepare(const FourierLines& lines);

  Stream& stream_;
  const FftKind kind_;
  int handle_ = 0;
  bool made_ = false;
  size_t workspace_ = 0;
  std::mutex mutex_;  // the workspace belongs to the plan
};

// The name of the function that does it.
const char* function_name(FftKind kind);

}  // namespace funcnn::cuda
