// How long the text of a program becomes, for which the compilers of GPUs take more than their share: sixteen sines in
// one kernel take half a second, fifty eleven.
#pragma once

#include <array>

#include "base/dtype.h"
#include "plan/kernel_program.h"

namespace funcnn::gpu {

// Of an instruction, by `OpcodeCost`; what counts is what NVRTC takes for it beside an addition.
constexpr std::array<uint16_t, kOpcodeCosts> kInstructionLengths = {1, 2, 4, 16, 16, 32};
constexpr uint16_t kLengthOfComplex = 8;
// Of a kernel: what the planner lets become one.
constexpr size_t kLongestKernel = 256;

// The functions among them: what is unrolled repeats their text.
inline size_t length_of_functions(const KernelProgram& program) {
  size_t length = 0;
  for (const Instruction& i : program.code) {
    if (i.kind != InstructionKind::compute) continue;
    const size_t one = kInstructionLengths[size_t(opcode_info(i.op).cost)];
    const size_t all = is_complex(i.dtype) ? one * kLengthOfComplex : one;
    if (all >= kInstructionLengths[size_t(OpcodeCost::transcendental)]) length += all;
  }
  return length;
}

}  // namespace funcnn::gpu
