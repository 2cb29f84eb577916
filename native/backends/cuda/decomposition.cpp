#include "backends/cuda/decomposition.h"

#include <algorithm>
#include <cmath>

#include "backends/cuda/setting.h"
#include "backends/gpu/program.h"
#include "base/error.h"

namespace funcnn::cuda {
namespace {

constexpr size_t kAlignment = 256;

}  // namespace

Decomposition::Decomposition(gpu::Machine& machine, std::string op, const Layout& a)
    : machine_(machine),
      op_(std::move(op)),
      shape_(a.shape),
      dtype_(a.dtype),
      count_(matrix_count(a.shape)),
      rows_(a.shape[a.shape.size() - 2]),
      columns_(a.shape.back()),
      item_(int64_t(item_size(a.dtype))),
      zeros_(zeros_kernel(machine, 4 * count_)) {
  if (auto* cuda = dynamic_cast<CudaMachine*>(&machine)) {
    stream_ = &cuda->stream();
    solver_ = Solver::find(stream_->context(), stream_->handle());
  }
  numbers_at_ = take(4 * numbers_bytes());
}

size_t Decomposition::take(size_t bytes) {
  const size_t at = scratch_;
  scratch_ += (std::max<size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  return at;
}

void Decomposition::take(const Workspace& workspace) {
  workspace_.host = std::max(workspace_.host, workspace.host);
  if (workspace.device <= workspace_.device && workspace_at_ != 0) return;
  workspace_.device = std::max(workspace_.device, workspace.device);
  workspace_at_ = take(workspace_.device);
}

void Decomposition::encode(Queue& queue, std::span<const Operand> operands) {
  Run run{queue, operands, operands.back(), {}};
  zeros_.launch(machine_, {flags(run)});
  this->run(run);
  judge(run, false);
}

std::vector<std::byte> Decomposition::read(const Operand& from, size_t bytes) const {
  std::vector<std::byte> out(bytes);
  machine_.memory().download(from.buffer->block(), size_t(from.offset), bytes, out.data());
  return out;
}

void Decomposition::expect_finite(Run& run) const { judge(run, true); }

void Decomposition::judge(const Run& run, bool finite_alone) const {
  std::vector<int32_t> numbers(size_t((finite_alone ? 1 : 3) * count_));
  const Operand from = flags(run);
  machine_.memory().download(from.buffer->block(), size_t(from.offset), numbers.size() * sizeof(int32_t),
                             numbers.data());
  Faults faults;
  for (int64_t i = 0; i < count_; ++i) {
    Verdict said = Fault::none;
    if (numbers[size_t(i)]) {
      said = Fault::not_finite;
    } else if (!finite_alone) {
      const int32_t info = numbers[size_t(count_ + i)];
      if (info < 0) throw Error(cat("CUDA: cuSOLVER refuses argument ", -info, " of ", op_));
      said = verdict(info, numbers[size_t(2 * count_ + i)]);
    }
    if (faults.note(i, said)) break;
  }
  faults.raise(op_, shape_);
}

void Decomposition::describe(std::ostream& out, const std::string& indent) const {
  out << indent << functions() << " for " << count_ << (count_ == 1 ? " matrix" : " matrices") << " of " << rows_
      << " x " << columns_ << '\n';
}

bool solves(gpu::Machine& machine, int64_t side, int64_t count, bool together, const Worth& worth) {
  auto* cuda = dynamic_cast<CudaMachine*>(&machine);
  if (!cuda) return true;  // kernels are compiled alone
  if (setting_has("nocusolver")) return false;
  const double length = double(side);
  const bool pays =
      length >= worth.alone || (together && count > 1 && length * std::cbrt(double(count)) >= worth.together);
  if (!pays && !setting_has("cusolver")) return false;
  return Solver::find(cuda->stream().context(), cuda->stream().handle()) != nullptr;
}

bool fits(std::initializer_list<int64_t> lengths) {
  return std::all_of(lengths.begin(), lengths.end(), [](int64_t n) { return n > 0 && n < INT32_MAX; });
}

int64_t matrix_count(const Shape& shape) { return element_count(Shape(shape.begin(), shape.end() - 2)); }

Layout by_rows(const Shape& shape, Dtype dtype) { return {shape, dtype, contiguous_strides(shape)}; }

Layout by_columns(const Shape& shape, Dtype dtype, int64_t leading, int64_t size) {
  Layout out = by_rows(shape, dtype);
  const size_t lead = shape.size() - 2;
  out.strides[lead] = 1;
  out.strides[lead + 1] = leading;
  int64_t step = size;
  for (size_t axis = lead; axis-- > 0;) {
    out.strides[axis] = step;
    step *= shape[axis];
  }
  return out;
}

std::unique_ptr<Kernel> MatrixCopy::gpu_copy(gpu::Machine& machine, const Layout& from, const Layout& to) {
  return gpu::make_copy_kernel(machine, from, to);
}

}  // namespace funcnn::cuda
