// Kernels of opaque primitives register here, each in the file that holds it.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "graph/primitive.h"
#include "plan/backend.h"

namespace funcnn::cpu {

// Outputs are contiguous; inputs have any strides. Everything that depends on shapes is decided here, once a plan.
using KernelFactory = std::unique_ptr<Kernel> (*)(const Primitive& primitive, std::span<const Layout> inputs,
                                                  std::span<const Layout> outputs, const KernelProgram* epilogue);

// A namespace-scope constant of this type registers the kernel of the primitive called `name`.
struct RegisterKernel {
  RegisterKernel(std::string_view name, KernelFactory factory, bool accepts_epilogue = false);
};

// A kernel from a callable over the operand pointers.
template <class F>
class FunctionKernel final : public Kernel {
 public:
  explicit FunctionKernel(F f, size_t scratch = 0) : f_(std::move(f)), scratch_(scratch) {}
  void run(std::span<std::byte* const> operands) override { f_(operands); }
  size_t scratch_bytes() const override { return scratch_; }

 private:
  F f_;
  size_t scratch_;
};
template <class F>
std::unique_ptr<Kernel> make_kernel(F f, size_t scratch = 0) {
  return std::make_unique<FunctionKernel<F>>(std::move(f), scratch);
}

}  // namespace funcnn::cpu
