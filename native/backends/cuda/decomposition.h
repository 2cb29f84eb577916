// What kernels have in common that cuSOLVER computes: matrices made dense as it wants them, calls in the order of the
// stream, and in the end a look at what is said of each matrix, for which the host waits, as errors come from `eval`.
#pragma once

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "backends/cuda/cusolver.h"
#include "backends/cuda/machine.h"
#include "backends/cuda/matrix_kernels.h"
#include "backends/gpu/kernel.h"
#include "base/linalg_faults.h"

namespace funcnn::cuda {

class Decomposition : public Kernel {
 public:
  void encode(Queue& queue, std::span<const Operand> operands) final;
  size_t scratch_bytes() const final { return scratch_; }
  void describe(std::ostream& out, const std::string& indent) const final;

 protected:
  // `a`: the layout of the matrices, of which errors speak.
  Decomposition(gpu::Machine& machine, std::string op, const Layout& a);

  // While it is encoded.
  struct Run {
    Queue& queue;
    std::span<const Operand> operands;
    Operand scratch;
    std::vector<std::byte> host;  // workspace of the library

    Operand in_scratch(size_t at) const { return {scratch.buffer, scratch.offset + int64_t(at)}; }
  };

  // Put the work on the queue.
  virtual void run(Run& run) = 0;
  // What the library's number and the first zero pivot (counted from 1; 0: none) of a finite matrix mean.
  virtual Verdict verdict(int32_t info, int32_t zero_pivot) const = 0;
  // The functions that are called, for people.
  virtual std::string functions() const = 0;

  // Scratch memory, from a multiple of 256 bytes on.
  size_t take(size_t bytes);
  // The same for the library's workspaces; later ones take the place of earlier ones.
  void take(const Workspace& workspace);
  // null where kernels are compiled and not run.
  Solver* solver() const { return solver_; }

  // The numbers for each matrix.
  Operand flags(const Run& run) const { return run.in_scratch(numbers_at_); }
  Operand infos(const Run& run) const { return run.in_scratch(numbers_at_ + numbers_bytes()); }
  Operand zero_pivots(const Run& run) const { return run.in_scratch(numbers_at_ + 2 * numbers_bytes()); }
  Operand unread_flags(const Run& run) const { return run.in_scratch(numbers_at_ + 3 * numbers_bytes()); }

  // What lies there, once everything before it is done.
  std::vector<std::byte> read(const Operand& from, size_t bytes) const;
  // Raise LinAlgError now if an element is infinite or NaN: before iterations that might not end.
  void expect_finite(Run& run) const;
  // Call `body(solver, room)` with everything before it on the stream.
  template <class Body>
  void call(Run& run, Body&& body) const {
    if (!solver_) return;
    Stream& stream = *stream_;
    stream.flush();
    InContext here(stream.context());
    auto lock = solver_->lock();
    run.host.resize(workspace_.host);
    const Room room{address(run.in_scratch(workspace_at_)), workspace_.device, run.host.data(), workspace_.host};
    body(*solver_, room);
    static const std::string name = "a decomposition of matrices";
    stream.started(Status::success, name);
  }
  Address address(const Operand& operand) const { return machine_.address(operand); }
  // The address of a number (i32) of a matrix.
  Address info(const Run& run, int64_t i) const { return address(infos(run)) + Address(4 * i); }

  gpu::Machine& machine_;
  const std::string op_;
  const Shape shape_;
  const Dtype dtype_;
  const int64_t count_, rows_, columns_, item_;

 private:
  size_t numbers_bytes() const { return size_t(count_) * sizeof(int32_t); }
  void judge(const Run& run, bool finite_alone) const;

  Stream* stream_ = nullptr;
  Solver* solver_ = nullptr;
  MatrixKernel zeros_;
  size_t numbers_at_ = 0, workspace_at_ = 0, scratch_ = 0;
  Workspace workspace_;
};

// The sides of matrices from which on a solver pays off: of one alone; and times the cube root of their number, where
// they are worked on together.
struct Worth {
  double alone, together;
};
// The host goes on to do it, unless it is asked for (FUNCNN_CUDA=cusolver).
inline constexpr Worth kNever{std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
// Whether it does, and there is one for this machine (or none is needed, as nothing is run).
bool solves(gpu::Machine& machine, int64_t side, int64_t count, bool together, const Worth& worth);

// Whether there is anything in arrays of these lengths, of which some count in 32 bits.
bool fits(std::initializer_list<int64_t> lengths);

// The layout of matrices that lie densely one after another, each by columns, `size` elements apart.
Layout by_columns(const Shape& shape, Dtype dtype, int64_t leading, int64_t size);
Layout by_rows(const Shape& shape, Dtype dtype);
// The elements of the last two axes, and of those before them.
int64_t matrix_count(const Shape& shape);

// A copy between layouts, which may be none.
class MatrixCopy {
 public:
  MatrixCopy() = default;
  MatrixCopy(gpu::Machine& machine, const Layout& from, const Layout& to) : kernel_(gpu_copy(machine, from, to)) {}
  void encode(Queue& queue, const Operand& from, const Operand& to) const {
    const Operand both[] = {from, to};
    kernel_->encode(queue, both);
  }
  explicit operator bool() const { return bool(kernel_); }

 private:
  static std::unique_ptr<Kernel> gpu_copy(gpu::Machine& machine, const Layout& from, const Layout& to);
  std::unique_ptr<Kernel> kernel_;
};

}  // namespace funcnn::cuda
