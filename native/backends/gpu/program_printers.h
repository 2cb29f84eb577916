// The kinds of kernels that programs become.
#pragma once

#include "backends/gpu/program_text.h"

namespace funcnn::gpu {

// Programs with at least one element and no reductions, whose stores are all of elements.
Printed print_elementwise(const Traits& traits, const KernelProgram& program, std::span<const Place> places,
                          bool packs);

// All launches of a program, in order. `scratch_bytes` is the same with packs and without. The scratch memory is the
// operand after the program's own.
struct PrintedProgram {
  std::vector<Printed> launches;
  size_t scratch_bytes = 0;
};
// Programs with row reductions, or with results of rows.
PrintedProgram print_rows(const Traits& traits, const KernelProgram& program, bool packs);
PrintedProgram print_columns(const Traits& traits, const KernelProgram& program, bool packs);
PrintedProgram print_program(const Traits& traits, const KernelProgram& program, bool packs);

}  // namespace funcnn::gpu
