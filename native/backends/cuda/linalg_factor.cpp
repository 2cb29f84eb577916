// Factorisations by cuSOLVER, and what is solved by them. A matrix by rows is for it the transposed one by columns.
#include <algorithm>

#include "backends/cuda/decomposition.h"
#include "base/error.h"
#include "ops/linalg_primitives.h"

namespace funcnn::cuda {
namespace {

// Matrices up to this many rows are worked on together, larger ones one after another.
constexpr int64_t kCholeskyTogether = 512, kLuTogether = 256, kSolveTogether = 1024;
// From where on the GPU is done sooner than the host with two copies: on an H100 beside 16 cores.
constexpr Worth kCholesky{160, 160}, kLu{320, 160}, kSolve{320, 160}, kQr{160, 0};

bool together(int64_t count, int64_t n, int64_t most) { return count > 1 && n <= most; }

const std::string& op_of(const Primitive& p) { return static_cast<const MatrixPrimitive&>(p).op(); }

// ---- Cholesky

class CholeskyKernel final : public Decomposition {
 public:
  CholeskyKernel(gpu::Machine& machine, const Primitive& p, const Layout& a)
      : Decomposition(machine, op_of(p), a), together_(together(count_, rows_, kCholeskyTogether)) {
    // The library is quicker with lower triangles by columns. It may use the other triangle for itself.
    const Layout turned = by_columns(a.shape, dtype_, rows_, rows_ * rows_), rows = by_rows(a.shape, dtype_);
    copy_in_ = MatrixCopy(machine, a, turned);
    copy_out_ = MatrixCopy(machine, turned, rows);
    before_ = finite_part_kernel(machine, dtype_, count_, rows_, rows_, Part::upper);
    after_ = finite_part_kernel(machine, dtype_, count_, rows_, rows_, Part::lower);
    addresses_ = address_kernel(machine, rows_ * rows_ * item_, count_);
    columns_at_ = take(size_t(count_ * rows_ * rows_ * item_));
    addresses_at_ = take(size_t(count_) * sizeof(Address));
    if (solver() && !together_) take(solver()->cholesky_workspace(dtype_, Triangle::lower, rows_));
  }

 private:
  void run(Run& run) override {
    const Operand a = run.in_scratch(columns_at_), addresses = run.in_scratch(addresses_at_), &l = run.operands[1];
    copy_in_.encode(run.queue, run.operands[0], a);
    before_.launch(machine_, {flags(run), a});
    if (together_) addresses_.launch(machine_, {a, addresses});
    call(run, [&](Solver& solver, const Room& room) {
      if (together_)
        return solver.cholesky_batched(dtype_, Triangle::lower, rows_, address(addresses), info(run, 0), count_);
      for (int64_t i = 0; i < count_; ++i)
        solver.cholesky(dtype_, Triangle::lower, rows_, address(a) + Address(i * rows_ * rows_ * item_), room,
                        info(run, i));
    });
    copy_out_.encode(run.queue, a, l);
    after_.launch(machine_, {unread_flags(run), l});
  }
  Verdict verdict(int32_t info, int32_t) const override {
    return info > 0 ? Verdict(Fault::not_positive, info - 1) : Fault::none;
  }
  std::string functions() const override { return together_ ? "cusolverDn<t>potrfBatched" : "cusolverDnXpotrf"; }

  bool together_;
  MatrixCopy copy_in_, copy_out_;
  MatrixKernel before_, after_, addresses_;
  size_t columns_at_ = 0, addresses_at_ = 0;
};

// ---- triangular systems

// X := form(T)^-1 X for X by rows, which are the columns of X^T: T^T stands on the right.
class TriangularCalls {
 public:
  TriangularCalls(gpu::Machine& machine, Dtype dtype, int64_t count, int64_t n, int64_t k)
      : machine_(machine),
        dtype_(dtype),
        count_(count),
        n_(n),
        k_(k),
        step_a_(n * n * int64_t(item_size(dtype))),
        step_b_(n * k * int64_t(item_size(dtype))),
        together_(together(count, n, kSolveTogether)),
        addresses_a_(address_kernel(machine, step_a_, count)),
        addresses_b_(address_kernel(machine, step_b_, count)) {}
  std::string functions() const { return together_ ? "cublas<t>trsmBatched" : "cublas<t>trsm"; }
  size_t scratch_bytes() const { return 2 * size_t(count_) * sizeof(Address); }
  // Before calls on these matrices. `scratch`: memory of that size.
  void prepare(const Operand& a, const Operand& b, const Operand& scratch) const {
    if (!together_) return;
    addresses_a_.launch(machine_, {a, scratch});
    addresses_b_.launch(machine_, {b, second(scratch)});
  }
  // `triangle`, `form`: of the matrix as it lies by columns.
  void call(Solver& solver, Triangle triangle, Form form, bool unit, const Operand& a, const Operand& b,
            const Operand& scratch) const {
    if (together_)
      return solver.solve_right_batched(dtype_, triangle, form, unit, k_, n_, machine_.address(scratch),
                                        machine_.address(second(scratch)), count_);
    for (int64_t i = 0; i < count_; ++i)
      solver.solve_right(dtype_, triangle, form, unit, k_, n_, machine_.address(a) + Address(i * step_a_),
                         machine_.address(b) + Address(i * step_b_));
  }

 private:
  Operand second(const Operand& scratch) const {
    return {scratch.buffer, scratch.offset + int64_t(scratch_bytes() / 2)};
  }

  gpu::Machine& machine_;
  Dtype dtype_;
  int64_t count_, n_, k_, step_a_, step_b_;
  bool together_;
  MatrixKernel addresses_a_, addresses_b_;
};

Triangle other(Triangle t) { return t == Triangle::lower ? Triangle::upper : Triangle::lower; }

// What is a single element may be a scalar of the host.
bool lies_by_rows(const Layout& l) { return is_contiguous(l.shape, l.strides) && element_count(l.shape) > 1; }
bool lies_by_columns(const Layout& l) {
  Layout turned = l;
  const size_t lead = l.shape.size() - 2;
  std::swap(turned.shape[lead], turned.shape[lead + 1]);
  std::swap(turned.strides[lead], turned.strides[lead + 1]);
  return lies_by_rows(turned);
}

class TriangularSolveKernel final : public Decomposition {
 public:
  TriangularSolveKernel(gpu::Machine& machine, const TriangularSolve& p, const Layout& a, const Layout& b)
      : Decomposition(machine, p.op(), a),
        by_columns_(!lies_by_rows(a) && lies_by_columns(a)),
        triangle_(p.upper() ? Triangle::upper : Triangle::lower),
        unit_(p.unit_diagonal()),
        calls_(machine, dtype_, count_, rows_, b.shape.back()),
        copy_b_(machine, b, by_rows(b.shape, b.dtype)) {
    if (!lies_by_rows(a) && !by_columns_) {
      copy_a_ = MatrixCopy(machine, a, by_rows(a.shape, a.dtype));
      copied_at_ = take(size_t(count_ * rows_ * rows_ * item_));
    }
    const Part part = (triangle_ == Triangle::upper) != by_columns_ ? Part::upper : Part::lower;
    finite_ = finite_kernel(machine, dtype_, count_, rows_, rows_, part);
    if (!unit_) zero_pivot_ = zero_pivot_kernel(machine, dtype_, count_, rows_);
    addresses_at_ = take(calls_.scratch_bytes());
  }

 private:
  void run(Run& run) override {
    Operand a = run.operands[0];
    const Operand& x = run.operands[2];
    if (copy_a_) {
      copy_a_.encode(run.queue, a, run.in_scratch(copied_at_));
      a = run.in_scratch(copied_at_);
    }
    copy_b_.encode(run.queue, run.operands[1], x);
    finite_.launch(machine_, {a, flags(run)});
    if (zero_pivot_) zero_pivot_.launch(machine_, {a, zero_pivots(run)});
    const Operand addresses = run.in_scratch(addresses_at_);
    calls_.prepare(a, x, addresses);
    call(run, [&](Solver& solver, const Room&) {
      calls_.call(solver, by_columns_ ? triangle_ : other(triangle_), by_columns_ ? Form::transposed : Form::as_it_is,
                  unit_, a, x, addresses);
    });
  }
  Verdict verdict(int32_t, int32_t zero_pivot) const override {
    return zero_pivot > 0 ? Verdict(Fault::singular, zero_pivot - 1) : Fault::none;
  }
  std::string functions() const override { return calls_.functions(); }

  bool by_columns_;
  Triangle triangle_;
  bool unit_;
  TriangularCalls calls_;
  MatrixCopy copy_a_, copy_b_;
  MatrixKernel finite_, zero_pivot_;
  size_t copied_at_ = 0, addresses_at_ = 0;
};

// ---- LU

class LuFactorKernel final : public Decomposition {
 public:
  LuFactorKernel(gpu::Machine& machine, const Primitive& p, const Layout& a)
      : Decomposition(machine, op_of(p), a),
        together_(rows_ == columns_ && together(count_, rows_, kLuTogether)),
        finite_(finite_kernel(machine, dtype_, count_, rows_, columns_, Part::all)) {
    const Layout turned = by_columns(a.shape, dtype_, rows_, rows_ * columns_);
    copy_in_ = MatrixCopy(machine, a, turned);
    copy_out_ = MatrixCopy(machine, turned, by_rows(a.shape, dtype_));
    const int64_t k = std::min(rows_, columns_);
    order_ = row_order_kernel(machine, !together_, count_, rows_, k);
    addresses_ = address_kernel(machine, rows_ * columns_ * item_, count_);
    factors_at_ = take(size_t(count_ * rows_ * columns_ * item_));
    pivots_at_ = take(size_t(count_ * k) * sizeof(int64_t));
    addresses_at_ = take(size_t(count_) * sizeof(Address));
    if (solver() && !together_) take(solver()->lu_workspace(dtype_, rows_, columns_));
  }

 private:
  void run(Run& run) override {
    const Operand factors = run.in_scratch(factors_at_), pivots = run.in_scratch(pivots_at_),
                  addresses = run.in_scratch(addresses_at_);
    copy_in_.encode(run.queue, run.operands[0], factors);
    finite_.launch(machine_, {factors, flags(run)});
    if (together_) addresses_.launch(machine_, {factors, addresses});
    call(run, [&](Solver& solver, const Room& room) {
      if (together_) return solver.lu_batched(dtype_, rows_, address(addresses), address(pivots), info(run, 0), count_);
      const int64_t k = std::min(rows_, columns_);
      for (int64_t i = 0; i < count_; ++i)
        solver.lu(dtype_, rows_, columns_, address(factors) + Address(i * rows_ * columns_ * item_),
                  address(pivots) + Address(i * k) * sizeof(int64_t), room, info(run, i));
    });
    copy_out_.encode(run.queue, factors, run.operands[1]);
    order_.launch(machine_, {pivots, run.operands[2], run.operands[3]});
  }
  // A pivot that is zero is no fault of the factors.
  Verdict verdict(int32_t, int32_t) const override { return Fault::none; }
  std::string functions() const override { return together_ ? "cublas<t>getrfBatched" : "cusolverDnXgetrf"; }

  bool together_;
  MatrixCopy copy_in_, copy_out_;
  MatrixKernel finite_, order_, addresses_;
  size_t factors_at_ = 0, pivots_at_ = 0, addresses_at_ = 0;
};

// Inputs: A, B, factors, order of the rows.
class LuSolveKernel final : public Decomposition {
 public:
  LuSolveKernel(gpu::Machine& machine, const LuSolve& p, gpu::Layouts in)
      : Decomposition(machine, p.op(), in[2]),
        back_(p.transposed()),
        calls_(machine, dtype_, count_, rows_, in[1].shape.back()),
        zero_pivot_(zero_pivot_kernel(machine, dtype_, count_, rows_)),
        move_(row_move_kernel(machine, dtype_, back_, count_, rows_, in[1].shape.back())) {
    const Layout& b = in[1];
    const size_t bytes = size_t(count_ * rows_ * b.shape.back() * item_);
    if (!lies_by_rows(in[2])) {
      copy_a_ = MatrixCopy(machine, in[2], by_rows(in[2].shape, dtype_));
      copied_a_at_ = take(size_t(count_ * rows_ * rows_ * item_));
    }
    if (back_ || !lies_by_rows(b)) {
      copy_b_ = MatrixCopy(machine, b, by_rows(b.shape, dtype_));
      copied_b_at_ = take(bytes);
    }
    if (!lies_by_rows(in[3])) {
      copy_rows_ = MatrixCopy(machine, in[3], by_rows(in[3].shape, in[3].dtype));
      copied_rows_at_ = take(size_t(count_ * rows_) * sizeof(uint32_t));
    }
    addresses_at_ = take(calls_.scratch_bytes());
  }

 private:
  void run(Run& run) override {
    auto dense = [&](const MatrixCopy& copy, const Operand& from, size_t at) {
      if (!copy) return from;
      copy.encode(run.queue, from, run.in_scratch(at));
      return run.in_scratch(at);
    };
    const Operand a = dense(copy_a_, run.operands[2], copied_a_at_), b = dense(copy_b_, run.operands[1], copied_b_at_),
                  rows = dense(copy_rows_, run.operands[3], copied_rows_at_), &out = run.operands[4];
    zero_pivot_.launch(machine_, {a, zero_pivots(run)});
    if (!back_) move_.launch(machine_, {b, rows, out});
    const Operand x = back_ ? b : out;  // what is solved for, in place
    const Operand addresses = run.in_scratch(addresses_at_);
    calls_.prepare(a, x, addresses);
    call(run, [&](Solver& solver, const Room&) {
      // By columns, U^T is the lower triangle and L^T the upper one, with ones on its diagonal.
      auto part = [&](Triangle triangle, Form form) {
        calls_.call(solver, triangle, form, triangle == Triangle::upper, a, x, addresses);
      };
      if (!back_) {
        part(Triangle::upper, Form::as_it_is);
        part(Triangle::lower, Form::as_it_is);
      } else {
        part(Triangle::lower, Form::adjoint);
        part(Triangle::upper, Form::adjoint);
      }
    });
    if (back_) move_.launch(machine_, {x, rows, out});
  }
  Verdict verdict(int32_t, int32_t zero_pivot) const override {
    return zero_pivot > 0 ? Verdict(Fault::singular, zero_pivot - 1) : Fault::none;
  }
  std::string functions() const override { return calls_.functions(); }

  bool back_;  // of the transposed (conjugated) matrix
  TriangularCalls calls_;
  MatrixCopy copy_a_, copy_b_, copy_rows_;
  MatrixKernel zero_pivot_, move_;
  size_t copied_a_at_ = 0, copied_b_at_ = 0, copied_rows_at_ = 0, addresses_at_ = 0;
};

// ---- QR

class QrKernel final : public Decomposition {
 public:
  QrKernel(gpu::Machine& machine, const QrFactor& p, gpu::Layouts in, gpu::Layouts out)
      : Decomposition(machine, p.op(), in[0]),
        k_(std::min(rows_, columns_)),
        width_(p.complete() ? rows_ : k_),
        size_(rows_ * std::max(columns_, width_)) {
    const Layout a = by_columns(in[0].shape, dtype_, rows_, size_);
    copy_in_ = MatrixCopy(machine, in[0], a);
    if (width_ > columns_) rest_ = zeros_kernel(machine, count_ * size_ * item_ / 4);
    finite_ = finite_kernel(machine, dtype_, count_, std::max(columns_, width_), rows_, Part::all);
    copy_r_ = MatrixCopy(machine, by_columns(out[1].shape, dtype_, rows_, size_), by_rows(out[1].shape, dtype_));
    upper_ = finite_part_kernel(machine, dtype_, count_, width_, columns_, Part::upper);
    copy_q_ = MatrixCopy(machine, by_columns(out[0].shape, dtype_, rows_, size_), by_rows(out[0].shape, dtype_));
    columns_at_ = take(size_t(count_ * size_ * item_));
    tau_at_ = take(size_t(count_ * k_ * item_));
    if (solver()) {
      Workspace w = solver()->reflectors_workspace(dtype_, rows_, columns_);
      const Workspace other = solver()->basis_workspace(dtype_, rows_, width_, k_);
      take(Workspace{std::max(w.device, other.device), std::max(w.host, other.host)});
    }
  }

 private:
  void run(Run& run) override {
    const Operand columns = run.in_scratch(columns_at_), tau = run.in_scratch(tau_at_);
    if (rest_) rest_.launch(machine_, {columns});
    copy_in_.encode(run.queue, run.operands[0], columns);
    finite_.launch(machine_, {columns, flags(run)});
    auto each = [&](auto&& body) {
      call(run, [&](Solver& solver, const Room& room) {
        for (int64_t i = 0; i < count_; ++i)
          body(solver, address(columns) + Address(i * size_ * item_), address(tau) + Address(i * k_ * item_), room,
               info(run, i));
      });
    };
    each([&](Solver& solver, Address a, Address t, const Room& room, Address info) {
      solver.reflectors(dtype_, rows_, columns_, a, t, room, info);
    });
    copy_r_.encode(run.queue, columns, run.operands[2]);
    upper_.launch(machine_, {unread_flags(run), run.operands[2]});
    each([&](Solver& solver, Address a, Address t, const Room& room, Address info) {
      solver.basis(dtype_, rows_, width_, k_, a, t, room, info);
    });
    copy_q_.encode(run.queue, columns, run.operands[1]);
  }
  Verdict verdict(int32_t, int32_t) const override { return Fault::none; }
  std::string functions() const override { return "cusolverDnXgeqrf and cusolverDn<t>orgqr"; }

  int64_t k_, width_, size_;
  MatrixCopy copy_in_, copy_r_, copy_q_;
  MatrixKernel rest_, finite_, upper_;
  size_t columns_at_ = 0, tau_at_ = 0;
};

// ---- who takes what

std::unique_ptr<Kernel> make_cholesky(gpu::Machine& machine, const Primitive& p, gpu::Layouts in, gpu::Layouts,
                                      const KernelProgram*) {
  const int64_t n = in[0].shape.back(), count = matrix_count(in[0].shape);
  if (!fits({n, count}) || !solves(machine, n, count, n <= kCholeskyTogether, kCholesky)) return nullptr;
  return std::make_unique<CholeskyKernel>(machine, p, in[0]);
}

std::unique_ptr<Kernel> make_triangular_solve(gpu::Machine& machine, const Primitive& p, gpu::Layouts in, gpu::Layouts,
                                              const KernelProgram*) {
  const int64_t n = in[0].shape.back(), k = in[1].shape.back(), count = matrix_count(in[0].shape);
  if (!fits({n, k, count}) || !solves(machine, n, count, n <= kSolveTogether, kSolve)) return nullptr;
  return std::make_unique<TriangularSolveKernel>(machine, static_cast<const TriangularSolve&>(p), in[0], in[1]);
}

std::unique_ptr<Kernel> make_lu_factor(gpu::Machine& machine, const Primitive& p, gpu::Layouts in, gpu::Layouts,
                                       const KernelProgram*) {
  const int64_t m = in[0].shape[in[0].shape.size() - 2], n = in[0].shape.back(), count = matrix_count(in[0].shape);
  if (!fits({m, n, count}) || !solves(machine, std::min(m, n), count, m == n && n <= kLuTogether, kLu)) return nullptr;
  return std::make_unique<LuFactorKernel>(machine, p, in[0]);
}

std::unique_ptr<Kernel> make_lu_solve(gpu::Machine& machine, const Primitive& p, gpu::Layouts in, gpu::Layouts,
                                      const KernelProgram*) {
  const int64_t n = in[2].shape.back(), k = in[1].shape.back(), count = matrix_count(in[2].shape);
  if (!fits({n, k, count}) || !solves(machine, n, count, n <= kSolveTogether, kSolve)) return nullptr;
  return std::make_unique<LuSolveKernel>(machine, static_cast<const LuSolve&>(p), in);
}

std::unique_ptr<Kernel> make_qr(gpu::Machine& machine, const Primitive& p, gpu::Layouts in, gpu::Layouts out,
                                const KernelProgram*) {
  const int64_t m = in[0].shape[in[0].shape.size() - 2], n = in[0].shape.back(), count = matrix_count(in[0].shape);
  if (!fits({m, n, count}) || !solves(machine, std::min(m, n), count, false, kQr)) return nullptr;
  return std::make_unique<QrKernel>(machine, static_cast<const QrFactor&>(p), in, out);
}

const gpu::RegisterKernel cholesky(gpu::Language::cuda, "cholesky", make_cholesky);
const gpu::RegisterKernel triangular(gpu::Language::cuda, "triangular_solve", make_triangular_solve);
const gpu::RegisterKernel factor(gpu::Language::cuda, "lu_factor", make_lu_factor);
const gpu::RegisterKernel solve(gpu::Language::cuda, "lu_solve", make_lu_solve);
const gpu::RegisterKernel qr(gpu::Language::cuda, "qr", make_qr);

}  // namespace
}  // namespace funcnn::cuda
