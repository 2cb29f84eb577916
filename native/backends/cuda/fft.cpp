// Fourier transforms by cuFFT. What it does not read as it is meant, or where it lies, is copied first: lines with
// gaps, those that a factor belongs to, half spectra.
#include "ops/fft.h"

#include <array>

#include "backends/cuda/cufft.h"
#include "backends/cuda/fft_choice.h"
#include "backends/cuda/machine.h"
#include "backends/cuda/setting.h"
#include "backends/gpu/fft_prepare.h"
#include "backends/gpu/program.h"
#include "base/error.h"

namespace funcnn::cuda {
namespace {

constexpr size_t kAlignment = 256;  // of parts of the scratch memory
constexpr Address kComplex = 8;     // bytes, of which the library wants all addresses to be multiples

size_t bytes_of(const Layout& l) { return size_t(element_count(l.shape)) * item_size(l.dtype); }
bool is_dense(const Layout& l) { return is_contiguous(l.shape, l.strides); }

class LibraryFft final : public Kernel {
 public:
  // `plan`: null where kernels are compiled and not run.
  LibraryFft(gpu::Machine& machine, const Fft& op, const FourierLines& lines, std::shared_ptr<FourierPlan> plan,
             const Layout& in, const Layout& out)
      : machine_(machine), lines_(lines), inverse_(op.inverse()), plan_(std::move(plan)), in_bytes_(bytes_of(in)) {
    const bool real = op.fft_kind() != FftKind::complex;
    if (op.fft_kind() == FftKind::half_to_real || op.scale() != 1 || !is_dense(in)) {
      prepare_ = gpu::make_fft_operand(machine, op, in);
      // Complex lines become what they are to be where they are to be.
      if (real) workspace_at_ = (in_bytes_ + kAlignment - 1) / kAlignment * kAlignment;
    }
    // Real lines may begin at any number.
    if (real) {
      const Layout& numbers = op.fft_kind() == FftKind::real_to_half ? in : out;
      moved_bytes_ = bytes_of(numbers);
      const Layout row{{element_count(numbers.shape)}, numbers.dtype, {1}};
      move_ = gpu::make_copy_kernel(machine, row, row);
    }
  }

  size_t scratch_bytes() const override { return workspace_at_ + (plan_ ? plan_->workspace() : 0); }

  void encode(Queue& queue, std::span<const Operand> operands) override {
    const Operand &given = operands[0], &wanted = operands[1];
    const Operand* scratch = operands.size() > 2 ? &operands[2] : nullptr;
    Operand from = given, to = wanted;
    if (prepare_) {
      from = lines_.kind == FftKind::complex ? wanted : *scratch;
      copy(*prepare_, queue, given, from);
    }
    // Memory of the pool is reused in the order of the stream.
    Ref<Buffer> aligned;
    const auto moved = [&] {
      aligned = Buffer::allocate(machine_.memory(), moved_bytes_);
      return Operand{aligned.get(), 0};
    };
    if (lines_.kind == FftKind::real_to_half && machine_.address(from) % kComplex != 0) {
      const Operand odd = from;
      from = moved();
      copy(*move_, queue, odd, from);
    }
    const bool beside = lines_.kind == FftKind::half_to_real && machine_.address(to) % kComplex != 0;
    if (beside) to = moved();
    if (plan_)
      plan_->run(inverse_, machine_.address(from), machine_.address(to),
                 scratch ? machine_.address(*scratch) + workspace_at_ : 0);
    if (beside) copy(*move_, queue, to, wanted);
  }

  void describe(std::ostream& out, const std::string& indent) const override {
    if (prepare_) prepare_->describe(out, indent);
    out << indent << function_name(lines_.kind) << " for " << lines_.count << " lines of " << lines_.length << '\n';
  }

 private:
  static void copy(Kernel& kernel, Queue& queue, const Operand& from, const Operand& to) {
    const Operand both[] = {from, to};
    kernel.encode(queue, both);
  }

  gpu::Machine& machine_;
  const FourierLines lines_;
  const bool inverse_;
  const std::shared_ptr<FourierPlan> plan_;
  const size_t in_bytes_;
  size_t workspace_at_ = 0, moved_bytes_ = 0;
  std::unique_ptr<Kernel> prepare_, move_;
};

std::unique_ptr<Kernel> make_fft(gpu::Machine& machine, const Primitive& primitive, gpu::Layouts in, gpu::Layouts out,
                                 const KernelProgram*) {
  const auto& op = static_cast<const Fft&>(primitive);
  const bool asked = setting_has("cufft");
  auto* cuda = dynamic_cast<CudaMachine*>(&machine);
  if (setting_has("nocufft") || (!cuda && !asked)) return nullptr;
  const size_t axis = size_t(op.axis());
  int64_t before = 1, behind = 1;
  for (size_t d = 0; d < out[0].shape.size(); ++d)
    if (d != axis) (d < axis ? before : behind) *= out[0].shape[d];
  const FourierLines lines{op.fft_kind(), behind > 1, op.length(), before * behind};
  // Of real lines of odd length it may take two for one complex line: what is NaN in one of them is so in the other.
  if (lines.kind != FftKind::complex && lines.length % 2 != 0) return nullptr;
  // Numbers of the library have 32 bits, and it steps through lines in one way at a time.
  if (lines.length < 2 || lines.count < 1 || lines.length > INT32_MAX / lines.count || (before > 1 && behind > 1))
    return nullptr;
  const bool quicker =
      is_dense(in[0]) && behind == 1 && library_is_quicker({lines.kind, op.scale() != 1, lines.length, lines.count});
  if (!asked && !quicker) return nullptr;
  std::shared_ptr<FourierPlan> plan = cuda ? FourierPlan::find(cuda->stream(), lines) : nullptr;
  if (cuda && !plan) return nullptr;
  return std::make_unique<LibraryFft>(machine, op, lines, std::move(plan), in[0], out[0]);
}

const gpu::RegisterKernel registered(gpu::Language::cuda, "fft", make_fft);

}  // namespace
}  // namespace funcnn::cuda
