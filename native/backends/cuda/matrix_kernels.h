// Small kernels around the calls of a library for matrices: what is read of them, and where things go. Matrices lie
// densely, one after another.
#pragma once

#include <initializer_list>
#include <vector>

#include "backends/gpu/kernel.h"

namespace funcnn::cuda {

// A kernel that is launched on whatever operands it is given: those only read first.
class MatrixKernel {
 public:
  MatrixKernel() = default;
  MatrixKernel(Ref<gpu::Pipeline> pipeline, uint32_t groups, uint32_t threads, size_t read_only,
               std::vector<std::byte> values)
      : pipeline_(std::move(pipeline)),
        groups_(groups),
        threads_(threads),
        read_only_(read_only),
        values_(std::move(values)) {}
  void launch(gpu::Machine& machine, std::initializer_list<Operand> operands) const;
  explicit operator bool() const { return bool(pipeline_); }

 private:
  Ref<gpu::Pipeline> pipeline_;
  uint32_t groups_ = 0, threads_ = 0;
  size_t read_only_ = 0;
  std::vector<std::byte> values_;
};

// Which elements of a matrix count, as it lies in memory by rows.
enum class Part : uint8_t { all, lower, upper };

// (words): zeros in so many words of 32 bits.
MatrixKernel zeros_kernel(gpu::Machine& machine, int64_t words);
// (matrices, flags): 1 in the flag (i32) of each matrix of which an element that counts is infinite or NaN.
MatrixKernel finite_kernel(gpu::Machine& machine, Dtype dtype, int64_t count, int64_t rows, int64_t columns, Part part);
// (flags, matrices): the same, and zeros where elements do not count.
MatrixKernel finite_part_kernel(gpu::Machine& machine, Dtype dtype, int64_t count, int64_t rows, int64_t columns,
                                Part part);
// (matrices, places): the number, from 1 on, of the first zero on the diagonal of each square matrix, or 0 (i32).
MatrixKernel zero_pivot_kernel(gpu::Machine& machine, Dtype dtype, int64_t count, int64_t n);
// (pivots, exchanged, rows): exchanges of rows counted from 1, as i32 or i64, counted from 0 (u32), and the order of
// the rows after them (u32).
MatrixKernel row_order_kernel(gpu::Machine& machine, bool wide, int64_t count, int64_t m, int64_t k);
// (from, rows, to): row i is row rows[i] of `from`; or, `back`, the other way round.
MatrixKernel row_move_kernel(gpu::Machine& machine, Dtype dtype, bool back, int64_t count, int64_t n, int64_t k);
// (matrices, addresses): where each of them is, `step` bytes apart (u64).
MatrixKernel address_kernel(gpu::Machine& machine, int64_t step, int64_t count);

}  // namespace funcnn::cuda
