// Eigenvalues of symmetric matrices and singular values by cuSOLVER. Iterations do not begin with what is not finite.
#include <algorithm>
#include <cstring>

#include "backends/cuda/decomposition.h"
#include "ops/linalg_primitives.h"
#include "plan/staged.h"

namespace funcnn::cuda {
namespace {

// From where on the GPU is done sooner than the host with two copies: on an H100 beside 16 cores.
constexpr Worth kEigh{256, 60}, kEigvalsh{128, 60}, kVectors = kNever, kSingularValues{512, 0};

// ---- symmetric matrices

class EighKernel final : public Decomposition {
 public:
  EighKernel(gpu::Machine& machine, const Eigh& p, const Layout& a)
      : Decomposition(machine, p.op(), a),
        wanted_(p.vectors() ? Wanted::vectors : Wanted::values),
        together_(count_ > 1 && solver() && solver()->has_eigh_batched()),
        real_(dtype_ == Dtype::float64 ? 8 : 4),
        part_(finite_part_kernel(machine, dtype_, count_, rows_, rows_, Part::upper)) {
    const Layout turned = by_columns(a.shape, dtype_, rows_, rows_ * rows_);
    copy_in_ = MatrixCopy(machine, a, turned);
    if (p.vectors()) copy_out_ = MatrixCopy(machine, turned, by_rows(a.shape, dtype_));
    columns_at_ = take(size_t(count_ * rows_ * rows_ * item_));
    if (!solver()) return;
    take(together_ ? solver()->eigh_batched_workspace(dtype_, wanted_, rows_, count_)
                   : solver()->eigh_workspace(dtype_, wanted_, rows_));
  }

  // Whether the library works on them one after another, at a size where the host is done sooner.
  bool slow() const { return solver() && count_ > 1 && !together_ && double(rows_) < kEigh.alone; }

 private:
  // By columns, the lower triangle is the upper one of what lies in memory by rows.
  void run(Run& run) override {
    const Operand a = run.in_scratch(columns_at_), &w = run.operands[1];
    copy_in_.encode(run.queue, run.operands[0], a);
    part_.launch(machine_, {flags(run), a});
    expect_finite(run);
    call(run, [&](Solver& solver, const Room& room) {
      if (together_)
        return solver.eigh_batched(dtype_, wanted_, rows_, address(a), address(w), room, info(run, 0), count_);
      for (int64_t i = 0; i < count_; ++i)
        solver.eigh(dtype_, wanted_, rows_, address(a) + Address(i * rows_ * rows_ * item_),
                    address(w) + Address(i * rows_ * real_), room, info(run, i));
    });
    if (copy_out_) copy_out_.encode(run.queue, a, run.operands[2]);
  }
  Verdict verdict(int32_t info, int32_t) const override { return info > 0 ? Fault::not_converged : Fault::none; }
  std::string functions() const override { return together_ ? "cusolverDnXsyevBatched" : "cusolverDnXsyevd"; }

  Wanted wanted_;
  bool together_;
  int64_t real_;
  MatrixKernel part_;
  MatrixCopy copy_in_, copy_out_;
  size_t columns_at_ = 0;
};

// ---- singular values

// From this many columns on, a polar decomposition is several times as quick as iterations on bidiagonal matrices. It
// perturbs matrices that are close to singular: where by more than so many rounding errors of the largest value, the
// host follows, which iterates sooner.
constexpr int64_t kPolarFrom = 128;
constexpr double kPerturbed = 8;

// The library wants columns to be no shorter than rows. Rows taken for columns are the transposed matrix, whose U is
// V^H by rows and whose V is (conjugated) U.
class SvdKernel final : public Decomposition {
 public:
  SvdKernel(gpu::Machine& machine, const SingularValues& p, gpu::Layouts in, gpu::Layouts out)
      : Decomposition(machine, p.op(), in[0]),
        vectors_(p.vectors()),
        full_(p.full()),
        tall_(rows_ > columns_),
        more_(std::max(rows_, columns_)),
        less_(std::min(rows_, columns_)),
        width_(p.full() ? more_ : less_),
        real_(dtype_ == Dtype::float64 ? 8 : 4),
        job_(!vectors_  ? 'N'
             : p.full() ? 'A'
                        : 'S'),
        polar_(vectors_ && dtype_ != Dtype::complex64 && less_ >= kPolarFrom) {
    const Shape& shape = in[0].shape;
    copy_in_ =
        MatrixCopy(machine, in[0], tall_ ? by_columns(shape, dtype_, rows_, rows_ * columns_) : by_rows(shape, dtype_));
    finite_ = finite_kernel(machine, dtype_, count_, less_, more_, Part::all);
    matrix_at_ = take(size_t(count_ * rows_ * columns_ * item_));
    if (vectors_) {
      // U of tall matrices, and of the others what the library calls V: by columns.
      const Layout u = by_columns(out[0].shape, dtype_, tall_ ? more_ : less_, tall_ ? more_ * width_ : less_ * less_);
      copy_u_ = MatrixCopy(machine, u, by_rows(out[0].shape, dtype_));
      if (tall_)
        copy_vh_ =
            MatrixCopy(machine, by_columns(out[2].shape, dtype_, less_, less_ * less_), by_rows(out[2].shape, dtype_));
      if (tall_) wide_at_ = take(size_t(count_ * more_ * width_ * item_));
      if (tall_ || polar_) square_at_ = take(size_t(count_ * less_ * less_ * item_));
    }
    if (polar_) {
      forget_ = zeros_kernel(machine, count_);
      host_ = make_staged_kernel(p, in, out, backend(machine.device()));
    }
    if (!solver()) return;
    take(polar_ ? solver()->svd_polar_workspace(dtype_, Wanted::vectors, full_, more_, less_)
                : solver()->svd_workspace(dtype_, job_, more_, less_));
  }

 private:
  void run(Run& run) override {
    const Operand a = run.in_scratch(matrix_at_);
    copy_in_.encode(run.queue, run.operands[0], a);
    finite_.launch(machine_, {a, flags(run)});
    expect_finite(run);
    if (polar_) {
      if (!by_polar_decomposition(run)) host_->encode(run.queue, run.operands.first(4));
      return;
    }
    Operand u, vh;
    if (vectors_) {
      u = tall_ ? run.in_scratch(wide_at_) : run.operands[3];
      vh = tall_ ? run.in_scratch(square_at_) : run.operands[1];
    }
    each(run, u, vh, [&](Solver& solver, const Matrix& m, const Room& room) {
      solver.svd(dtype_, job_, more_, less_, m.a, m.s, m.u, m.v, room, m.info);
    });
    if (!vectors_ || !tall_) return;
    copy_u_.encode(run.queue, u, run.operands[1]);
    copy_vh_.encode(run.queue, vh, run.operands[3]);
  }

  // Whether it served.
  bool by_polar_decomposition(Run& run) {
    const Operand u = tall_ ? run.in_scratch(wide_at_) : run.operands[3];
    const Operand v = tall_ ? run.operands[3] : run.in_scratch(square_at_);
    std::vector<double> errors;
    each(run, u, v, [&](Solver& solver, const Matrix& m, const Room& room) {
      errors.push_back(
          solver.svd_polar(dtype_, Wanted::vectors, full_, more_, less_, m.a, m.s, m.u, m.v, room, m.info));
    });
    if (!served(run, errors)) {
      // What the library says of it is of no importance any more.
      forget_.launch(machine_, {infos(run)});
      return false;
    }
    copy_u_.encode(run.queue, tall_ ? u : v, run.operands[1]);
    return true;
  }

  bool served(const Run& run, const std::vector<double>& errors) const {
    if (errors.empty()) return true;
    const std::vector<std::byte> values = read(run.operands[2], size_t(count_ * less_ * real_));
    const std::vector<std::byte> infos = read(this->infos(run), size_t(count_) * sizeof(int32_t));
    for (int64_t i = 0; i < count_; ++i) {
      int32_t info = 0;
      std::memcpy(&info, infos.data() + i * 4, 4);
      const double largest = dtype_ == Dtype::float64 ? value<double>(values, i) : value<float>(values, i);
      const double rounding = dtype_ == Dtype::float64 ? 0x1p-52 : 0x1p-23;
      // Not a number counts as too large.
      if (info != 0 || !(errors[size_t(i)] <= kPerturbed * rounding * largest)) return false;
    }
    return true;
  }
  // The largest singular value of a matrix.
  template <class T>
  double value(const std::vector<std::byte>& values, int64_t i) const {
    T out;
    std::memcpy(&out, values.data() + size_t(i * less_) * sizeof(T), sizeof(T));
    return out;
  }

  // What the library takes of one matrix: `v` is what it makes of the shorter side.
  struct Matrix {
    Address a, s, u, v, info;
  };
  template <class Body>
  void each(Run& run, const Operand& u, const Operand& v, Body&& body) const {
    call(run, [&](Solver& solver, const Room& room) {
      const Address a = address(run.in_scratch(matrix_at_)), s = address(run.operands[vectors_ ? 2 : 1]);
      for (int64_t i = 0; i < count_; ++i)
        body(solver,
             Matrix{a + Address(i * rows_ * columns_ * item_), s + Address(i * less_ * real_),
                    vectors_ ? address(u) + Address(i * more_ * width_ * item_) : 0,
                    vectors_ ? address(v) + Address(i * less_ * less_ * item_) : 0, info(run, i)},
             room);
    });
  }

  Verdict verdict(int32_t info, int32_t) const override { return info > 0 ? Fault::not_converged : Fault::none; }
  std::string functions() const override { return polar_ ? "cusolverDnXgesvdp" : "cusolverDnXgesvd"; }

  bool vectors_, full_, tall_;
  int64_t more_, less_, width_, real_;
  char job_;
  bool polar_;
  MatrixCopy copy_in_, copy_u_, copy_vh_;
  MatrixKernel finite_, forget_;
  std::unique_ptr<Kernel> host_;
  size_t matrix_at_ = 0, wide_at_ = 0, square_at_ = 0;
};

std::unique_ptr<Kernel> make_eigh(gpu::Machine& machine, const Primitive& p, gpu::Layouts in, gpu::Layouts,
                                  const KernelProgram*) {
  const int64_t n = in[0].shape.back(), count = matrix_count(in[0].shape);
  const auto& eigh = static_cast<const Eigh&>(p);
  if (!fits({n, count}) || !solves(machine, n, count, true, eigh.vectors() ? kEigh : kEigvalsh)) return nullptr;
  auto kernel = std::make_unique<EighKernel>(machine, eigh, in[0]);
  return kernel->slow() ? nullptr : std::move(kernel);
}

std::unique_ptr<Kernel> make_svd(gpu::Machine& machine, const Primitive& p, gpu::Layouts in, gpu::Layouts out,
                                 const KernelProgram*) {
  const int64_t m = in[0].shape[in[0].shape.size() - 2], n = in[0].shape.back(), count = matrix_count(in[0].shape);
  const auto& svd = static_cast<const SingularValues&>(p);
  const Worth& worth = svd.vectors() ? kVectors : kSingularValues;
  if (!fits({m, n, count}) || !solves(machine, std::min(m, n), count, false, worth)) return nullptr;
  return std::make_unique<SvdKernel>(machine, svd, in, out);
}

const gpu::RegisterKernel symmetric(gpu::Language::cuda, "eigh", make_eigh);
const gpu::RegisterKernel singular(gpu::Language::cuda, "svd", make_svd);

}  // namespace
}  // namespace funcnn::cuda
