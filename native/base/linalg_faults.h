// What is said of matrices that are refused, by whatever device found it out.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "base/shape.h"

namespace funcnn {

// Why a matrix is refused.
enum class Fault : uint8_t { none, not_finite, singular, not_positive, not_converged };

// What is said of a matrix: nothing, or why it is refused and at which row, counted from 0.
struct Verdict {
  Verdict(Fault fault, int64_t place = -1) : fault(fault), place(place) {}  // NOLINT: a fault is one
  bool refused() const { return fault != Fault::none; }

  Fault fault;
  int64_t place;
};

// The first fault of a batch.
class Faults {
 public:
  // What is said of a matrix; whether it is refused.
  bool note(int64_t index, Verdict verdict);
  // Raise LinAlgError if one was: `op` names the function, its matrices are the last two axes of `shape`.
  void raise(const std::string& op, const Shape& shape) const;

 private:
  std::mutex mutex_;
  int64_t index_ = -1, place_ = -1;
  Fault fault_ = Fault::none;
};

}  // namespace funcnn
