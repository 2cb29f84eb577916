// Kernels of concatenate and pad.
#include "ops/join.h"

#include "backends/cpu/copy.h"
#include "backends/cpu/kernels.h"
#include "ops/pad.h"

namespace funcnn::cpu {
namespace {

std::unique_ptr<Kernel> make_concatenate(const Primitive& primitive, std::span<const Layout> inputs,
                                         std::span<const Layout> outputs, const KernelProgram*) {
  size_t axis = size_t(static_cast<const Concatenate&>(primitive).axis());
  int64_t item = int64_t(item_size(outputs[0].dtype)), at = 0;
  JointCopy copies;
  std::vector<int64_t> offsets;
  for (const Layout& in : inputs) {
    copies.add(StridedCopy(in.shape, in.strides, outputs[0].strides, size_t(item)));
    offsets.push_back(at * outputs[0].strides[axis] * item);
    at += in.shape[axis];
  }
  return make_kernel([copies = std::move(copies), offsets = std::move(offsets)](std::span<std::byte* const> operands) {
    copies.run(
        [&](size_t i) { return std::pair<const std::byte*, std::byte*>(operands[i], operands.back() + offsets[i]); });
  });
}

std::unique_ptr<Kernel> make_pad(const Primitive& primitive, std::span<const Layout> inputs,
                                 std::span<const Layout> outputs, const KernelProgram*) {
  auto& pad = static_cast<const Pad&>(primitive);
  const Layout &in = inputs[0], &out = outputs[0];
  size_t item = item_size(out.dtype);
  Strides steps = out.strides;
  int64_t offset = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    offset += pad.low()[i] * out.strides[i] * int64_t(item);
    steps[i] *= pad.interior()[i] + 1;
  }
  return make_kernel([copy = StridedCopy(in.shape, in.strides, steps, item), offset, item,
                      count = element_count(out.shape)](std::span<std::byte* const> operands) {
    fill(operands[2], count, item, operands[1]);
    copy.run(operands[0], operands[2] + offset);
  });
}

const RegisterKernel concatenate_kernel("concatenate", make_concatenate);
const RegisterKernel pad_kernel("pad", make_pad);

}  // namespace
}  // namespace funcnn::cpu
