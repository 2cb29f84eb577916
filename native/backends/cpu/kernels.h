// Kernels of opaque primitives register here, each in the file that holds it.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "base/dtype.h"
#include "base/error.h"
#include "graph/primitive.h"
#include "plan/backend.h"
#include "plan/host_work.h"

namespace funcnn::cpu {

// A kernel over plain pointers: the CPU's queue runs at once.
class HostKernel : public Kernel, public HostWork {
 public:
  void encode(Queue& queue, std::span<const Operand> operands) final;
};

// Outputs are contiguous; inputs have any strides. Everything that depends on shapes is decided here, once a plan.
using KernelFactory = std::unique_ptr<Kernel> (*)(const Primitive& primitive, std::span<const Layout> inputs,
                                                  std::span<const Layout> outputs, const KernelProgram* epilogue);

// A namespace-scope constant of this type registers the kernel of the primitive called `name`.
struct RegisterKernel {
  RegisterKernel(std::string_view name, KernelFactory factory, bool accepts_epilogue = false);
};

// A kernel from a callable over the operand pointers.
template <class F>
class FunctionKernel final : public HostKernel {
 public:
  explicit FunctionKernel(F f) : f_(std::move(f)) {}
  void run(std::span<std::byte* const> operands) override { f_(operands); }

 private:
  F f_;
};
template <class F>
std::unique_ptr<Kernel> make_kernel(F f) {
  return std::make_unique<FunctionKernel<F>>(std::move(f));
}

// make(TypeTag<T>) for a dtype of floats; `op` has no kernel for others.
template <class F>
std::unique_ptr<Kernel> for_float(Dtype dtype, std::string_view op, F&& make) {
  switch (dtype) {
    case Dtype::float16:
      return make(TypeTag<float16_t>{});
    case Dtype::bfloat16:
      return make(TypeTag<bfloat16_t>{});
    case Dtype::float32:
      return make(TypeTag<float>{});
    case Dtype::float64:
      return make(TypeTag<double>{});
    default:
      throw Error(cat(op, ": no kernel for ", dtype));
  }
}

}  // namespace funcnn::cpu
