#include "ops/callback.h"

#include <vector>

#include "backends/cpu/copy.h"
#include "backends/cpu/kernels.h"

namespace funcnn::cpu {
namespace {

std::unique_ptr<Kernel> make_callback(const Primitive& primitive, std::span<const Layout> inputs,
                                      std::span<const Layout> outputs, const KernelProgram*) {
  struct Argument {
    StridedCopy copy;  // to row-major order
    HostOperand operand;
  };
  Ref<const Callback> callback(static_cast<const Callback*>(&primitive));
  std::vector<Argument> arguments;
  for (const Layout& in : inputs.first(callback->arguments()))
    arguments.push_back({StridedCopy(in.shape, in.strides, contiguous_strides(in.shape), item_size(in.dtype)),
                         {in.shape, in.dtype, nullptr}});
  std::vector<HostOperand> results;
  for (const Layout& out : outputs) results.push_back({out.shape, out.dtype, nullptr});
  return make_kernel([callback, arguments = std::move(arguments), results = std::move(results),
                      count = inputs.size()](std::span<std::byte* const> at) {
    std::vector<HostOperand> in, out = results;
    std::vector<std::vector<std::byte>> dense(arguments.size());
    for (size_t i = 0; i < arguments.size(); ++i) {
      in.push_back(arguments[i].operand);
      dense[i].resize(size_t(element_count(in[i].shape)) * item_size(in[i].dtype));
      arguments[i].copy.run(at[i], dense[i].data());
      in[i].data = dense[i].data();
    }
    for (size_t i = 0; i < out.size(); ++i) out[i].data = at[count + i];
    callback->run(in, out);
  });
}

const RegisterKernel pure("pure_callback", make_callback);
const RegisterKernel debug("debug_callback", make_callback);
const RegisterKernel after("after_effects", make_callback);

}  // namespace
}  // namespace funcnn::cpu
