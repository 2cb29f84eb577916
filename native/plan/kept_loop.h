// A loop over few bytes that runs again and again: it stays bound to memory of its own, where operands are copied to
// and results from.
#pragma once

#include <memory>
#include <vector>

#include "plan/control.h"

namespace funcnn {

class KeptLoop {
 public:
  // Inputs are what changes from step to step, then constants from number `constants` on. `taken` is what the loop
  // takes while it runs.
  KeptLoop(Backend& backend, std::span<const Layout> inputs, size_t constants, std::span<const size_t> output_bytes,
           size_t taken);
  // In place of `loop.encode`; false: it is not to be.
  bool run(ControlKernel& loop, Queue& queue, std::span<const Operand> operands);
  // Of its memory.
  size_t bytes() const { return total_; }

 private:
  // What a loop takes stays with it, so it has to be little, and it is bound when it runs for the second time.
  static constexpr size_t kMostBytes = size_t(1) << 14;
  bool bind(ControlKernel& loop, Queue& queue);

  Backend* backend_;
  size_t inputs_, constants_;
  std::vector<size_t> bytes_;        // of inputs and outputs
  std::vector<Ref<Buffer>> places_;  // of these
  std::vector<char> lasting_;        // constants that were the same in all runs
  Queue* queue_ = nullptr;           // to which it is bound
  std::unique_ptr<BoundKernel> bound_;
  size_t total_ = 0;
  bool fits_, has_run_ = false, running_ = false;
};

}  // namespace funcnn
