#include "ops/index.h"

#include <algorithm>

#include "backends/cpu/kernels.h"

namespace funcnn::cpu {
namespace {

std::unique_ptr<Kernel> make_mask_order(const Primitive& primitive, std::span<const Layout> inputs,
                                        std::span<const Layout>, const KernelProgram*) {
  const auto& order = static_cast<const MaskOrder&>(primitive);
  return make_kernel([given = order.count(), at_most = order.at_most(), in = inputs[0]](auto at) {
    const bool* mask = reinterpret_cast<const bool*>(at[0]);
    int32_t* out = reinterpret_cast<int32_t*>(at[1]);
    size_t lead = in.shape.size() - 1;
    int64_t length = in.shape[lead], step = in.strides[lead];
    for (int64_t row = 0, rows = element_count(in.shape) / std::max<int64_t>(length, 1); row < rows; ++row) {
      const bool* from = mask;
      for (int64_t d = int64_t(lead), rest = row; d-- > 0; rest /= in.shape[size_t(d)])
        from += rest % in.shape[size_t(d)] * in.strides[size_t(d)];
      int32_t count = 0;
      for (int64_t i = 0; i < length; ++i) {
        *out++ = count;
        count += from[i * step];
      }
      check_mask_count(given, at_most, count);
    }
  });
}

const RegisterKernel registered("mask_order", make_mask_order);

}  // namespace
}  // namespace funcnn::cpu
