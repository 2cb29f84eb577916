// KernelPrograms as kernels: printed, compiled, with their launch geometry.
#pragma once

#include <memory>

#include "backends/gpu/kernel.h"
#include "plan/kernel_program.h"

namespace funcnn::gpu {

std::unique_ptr<Kernel> make_program_kernel(Machine& machine, const KernelProgram& program);

// Copies elements between layouts of one shape and dtype.
std::unique_ptr<Kernel> make_copy_kernel(Machine& machine, const Layout& from, const Layout& to);

// Kernels of programs as one, which takes the operands of each in a row; null where that gains nothing.
std::unique_ptr<Kernel> make_joint_kernel(Machine& machine, std::span<const std::shared_ptr<Kernel>> kernels);

// An epilogue for a kernel of its own: statements that compute one element of a program without reductions. In them
// `value` (an expression, in the register type of the first output) stands for operand 0, `index` (an expression, i64
// or u32) is the flat number of the element, and operand k is called `e{k}` (operand 0: `target`, the product's place).
// The kernel declares the others among its own, inputs first; it stores the product where no store is to operand 0.
struct EpilogueText {
  std::vector<std::pair<std::string, std::string>> reads, writes;  // type and name, in the order of the operands
  std::string statements;
};
EpilogueText epilogue_text(const KernelProgram& program, std::string_view value, std::string_view index);

}  // namespace funcnn::gpu
