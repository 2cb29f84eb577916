// The bytes of elements as another dtype.
#include "ops/reinterpret.h"

#include "backends/gpu/nest.h"
#include "backends/gpu/program.h"

namespace funcnn::gpu {
namespace {

// The elements in order, and, where they become bools, bytes other than zero made one.
class ViewKernel final : public Kernel {
 public:
  ViewKernel(Machine& machine, const Layout& in, const Layout& out)
      : copy_(make_copy_kernel(machine, in, {in.shape, in.dtype, contiguous_strides(in.shape)})) {
    if (out.dtype != Dtype::bool_) return;
    Nest nest({element_count(out.shape)}, needs_wide(out));
    KernelText text(machine.traits(), "truths", Nest::kThreads);
    text.write("u8", "out");
    Numbers numbers(needs_wide(out));
    numbers.add(text, nest);
    text.body(nest.around("  out[i0] = out[i0] != 0 ? 1 : 0;\n"));
    truths_ = std::make_unique<StagedLaunches>(
        machine,
        std::vector<Stage>{stage_of(machine, text, nest.groups(), nest.threads(), {{1, 0}}, 0, numbers.bytes())});
  }
  void encode(Queue& queue, std::span<const Operand> operands) override {
    copy_->encode(queue, operands);
    if (truths_) truths_->encode(queue, operands);
  }
  void describe(std::ostream& out, const std::string& indent) const override {
    copy_->describe(out, indent);
    if (truths_) truths_->describe(out, indent);
  }

 private:
  std::unique_ptr<Kernel> copy_, truths_;
};

std::unique_ptr<Kernel> make_view(Machine& machine, const Primitive&, Layouts inputs, Layouts outputs,
                                  const KernelProgram*) {
  return std::make_unique<ViewKernel>(machine, inputs[0], outputs[0]);
}

const RegisterKernel registered("view", make_view);

}  // namespace
}  // namespace funcnn::gpu
