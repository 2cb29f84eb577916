#include "ops/slice_update.h"

#include "backends/cpu/copy.h"
#include "backends/cpu/kernels.h"

namespace funcnn::cpu {
namespace {

std::unique_ptr<Kernel> make_slice_update(const Primitive& primitive, std::span<const Layout> inputs,
                                          std::span<const Layout> outputs, const KernelProgram*) {
  const SliceUpdate& op = static_cast<const SliceUpdate&>(primitive);
  const Layout& out = outputs[0];
  size_t item = item_size(out.dtype);
  int64_t offset = 0;
  Strides strides = out.strides;
  for (size_t i = 0; i < strides.size(); ++i) {
    offset += op.start()[i] * strides[i];
    strides[i] *= op.step()[i];
  }
  return make_kernel([whole = StridedCopy(out.shape, inputs[0].strides, out.strides, item),
                      part = StridedCopy(inputs[1].shape, inputs[1].strides, strides, item),
                      offset = offset * int64_t(item)](std::span<std::byte* const> at) {
    if (at[0] != at[2]) whole.run(at[0], at[2]);
    part.run(at[1], at[2] + offset);
  });
}

const RegisterKernel registered("slice_update", make_slice_update);

}  // namespace
}  // namespace funcnn::cpu
