// How the loads and stores of a program go along a loop nest that all of them share.
#pragma once

#include <vector>

#include "plan/kernel_program.h"

namespace funcnn::gpu {

// The axes of the nest, outermost first, as few as the accesses allow. Those of rows come first where the nest is
// divided; there is at least one of each kind.
struct Walk {
  Shape axes;
  size_t row_axes = 0;           // 0: rows and columns are one
  std::vector<Strides> strides;  // by access, along the axes; those of a row access are 0 along columns
  std::vector<char> odd;         // by access: does not go along with the axes, and walks its own shape
  bool wide = false;             // some offset or count needs 64 bits

  int64_t inner() const { return axes.back(); }
  int64_t inner_stride(int access) const { return strides[size_t(access)].back(); }
  // The elements follow each other in memory all along the nest.
  bool flat(int access) const;
};

// `divided`: rows are told from columns. Otherwise accesses of rows repeat along columns all the same. Accesses of
// scalars have no strides.
Walk walk_of(const KernelProgram& program, bool divided);

// The space of each access: that of the instruction that uses it.
std::vector<Space> access_spaces(const KernelProgram& program);

}  // namespace funcnn::gpu
