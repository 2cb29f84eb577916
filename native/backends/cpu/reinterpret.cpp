// The bytes of elements as another dtype.
#include "ops/reinterpret.h"

#include "backends/cpu/copy.h"
#include "backends/cpu/kernels.h"

namespace funcnn::cpu {
namespace {

std::unique_ptr<Kernel> make_view(const Primitive&, std::span<const Layout> inputs, std::span<const Layout> outputs,
                                  const KernelProgram*) {
  const Layout &in = inputs[0], &out = outputs[0];
  // A bool is stored as 0 or 1.
  int64_t truths = out.dtype == Dtype::bool_ ? element_count(out.shape) : 0;
  return make_kernel([copy = StridedCopy(in.shape, in.strides, contiguous_strides(in.shape), item_size(in.dtype)),
                      truths](std::span<std::byte* const> operands) {
    copy.run(operands[0], operands[1]);
    for (int64_t i = 0; i < truths; ++i) operands[1][i] = std::byte(operands[1][i] != std::byte(0));
  });
}

const RegisterKernel registered("view", make_view);

}  // namespace
}  // namespace funcnn::cpu
