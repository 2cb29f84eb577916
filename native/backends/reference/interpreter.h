// Kernel programs, one instruction and one element at a time.
#pragma once

#include <span>

#include "plan/kernel_program.h"

namespace funcnn::reference {

void interpret(const KernelProgram& program, std::span<std::byte* const> operands);

}  // namespace funcnn::reference
