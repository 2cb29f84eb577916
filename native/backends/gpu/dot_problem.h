// What the layouts of dot decide, whatever kernel computes it.
#pragma once

#include <vector>

#include "backends/gpu/operand.h"
#include "backends/gpu/program.h"

namespace funcnn::gpu {

struct DotProblem {
  struct BatchAxis {
    int64_t length, a, b;  // steps in elements
  };
  struct Steps {
    int64_t row, column;
  };

  int64_t m, n, k, batches = 1;
  Dtype dtype;
  std::vector<BatchAxis> axes;  // neighbours merged, the outermost first
  Steps a, b;
  std::string_view index;  // type of places in the operands
  Layout left, right;      // as they were given

  DotProblem(const Layout& a, const Layout& b);
  int64_t count() const { return batches * m * n; }

  // Statements that set `at_a` and `at_b`, i64 variables, to the places of batch number `batch` (u32, which they
  // change), the values they need, and what those are.
  std::string batch_offsets() const;
  void declare_batch(KernelText& text) const;
  void add_batch(Values& values) const;
};

// The product's elements on their way to memory: stored, or handed to an epilogue. Operands of the kernel are a, b, the
// product, those of the epilogue that are read and those that are written, and scratch memory.
class DotResult {
 public:
  DotResult(Dtype dtype, const KernelProgram* epilogue);
  // Declares what is read, then what is written.
  void declare(KernelText& text) const;
  // Statements for the element `value`, in a register, with flat number `index` of type u32 or i64.
  std::string statements(std::string_view value, std::string_view index) const;
  // Operands in the order of their declaration.
  std::vector<Place> reads() const, writes() const;
  int scratch() const { return 3 + reads_ + writes_; }

 private:
  Dtype dtype_;
  const KernelProgram* epilogue_;
  bool stored_by_epilogue_ = false;
  int reads_ = 0, writes_ = 0;
};

}  // namespace funcnn::gpu
