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
// One kernel for several programs over flat elements. Operands are the scalars, which all of them share; the others are
// found by their addresses in the values: `address` of each by_address operand of each member, i64; `count` of elements
// and `first` group of each member, u32; `members`, u32. Programs are as many as `capacity` at most.
struct PrintedJoint {
  Printed printed;
  int capacity = 0;
  std::vector<int> by_address;
  std::vector<char> is_written;  // of each of those
  int64_t elements = 0;          // of a group
};
PrintedJoint print_joint(const Traits& traits, const KernelProgram& program, int capacity);

// Programs with row reductions, or with results of rows.
PrintedProgram print_rows(const Traits& traits, const KernelProgram& program, bool packs);
PrintedProgram print_columns(const Traits& traits, const KernelProgram& program, bool packs);
// Whether a launch binds the operands and, for each reduction, a place for partial results as well.
bool binds_partials(const Traits& traits, const KernelProgram& program);
PrintedProgram print_program(const Traits& traits, const KernelProgram& program, bool packs);

}  // namespace funcnn::gpu
