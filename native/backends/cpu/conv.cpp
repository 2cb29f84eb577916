// Which kernel a convolution gets.
#include "backends/cpu/conv.h"

#include "backends/cpu/conv_kernels.h"
#include "base/error.h"

namespace funcnn::cpu {
namespace {

template <class S>
std::unique_ptr<HostKernel> forward(ConvProblem p, const KernelProgram* epilogue) {
  p.merge();
  if (!conv_table() || !p.compact()) return make_plain_conv<S>(p, epilogue);
  if (auto kernel = make_lane_conv<S>(p, epilogue)) return kernel;
  if constexpr (std::is_same_v<S, bfloat16_t>)
    if (auto kernel = make_gathered_conv(p, epilogue)) return kernel;
  return make_tiled_conv<S>(p, epilogue);
}

template <class S>
std::unique_ptr<HostKernel> by_weight(ConvProblem p, const KernelProgram* epilogue) {
  p.merge();
  if (!conv_table() || !p.compact()) return make_plain_conv_weight<S>(p, epilogue);
  if (auto kernel = make_lane_conv_weight<S>(p, epilogue)) return kernel;
  return make_tiled_conv_weight<S>(p, epilogue);
}

std::unique_ptr<Kernel> make_forward(const Primitive& primitive, std::span<const Layout> in,
                                     std::span<const Layout> out, const KernelProgram* epilogue) {
  ConvProblem problem(static_cast<const ConvPrimitive&>(primitive), in[0], in[1], out[0]);
  return for_float(out[0].dtype, "conv_general", [&]<class S>(TypeTag<S>) { return forward<S>(problem, epilogue); });
}

std::unique_ptr<Kernel> make_by_weight(const Primitive& primitive, std::span<const Layout> in,
                                       std::span<const Layout> out, const KernelProgram* epilogue) {
  ConvProblem problem(static_cast<const ConvPrimitive&>(primitive), in[0], out[0], in[1]);
  return for_float(out[0].dtype, "conv_general", [&]<class S>(TypeTag<S>) { return by_weight<S>(problem, epilogue); });
}

const RegisterKernel forward_kernel("conv_general", make_forward, true);
const RegisterKernel by_weight_kernel("conv_weight_gradient", make_by_weight, true);

}  // namespace
}  // namespace funcnn::cpu
