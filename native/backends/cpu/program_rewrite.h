// The first half of translating a KernelProgram: the same program in the operations that tables have, with a domain cut
// into rows where that helps.
#pragma once

#include <cstdint>
#include <vector>

#include "backends/cpu/access_path.h"

namespace funcnn::cpu {

// Rows shorter than this are not worth a call each: operands that repeat by row are spread over the tile instead.
inline constexpr int64_t kShortRow = 32;

struct Op {
  Instruction in;
  int op = 0;  // opcode, or one of the fused operations of simd/table.h
  bool dead = false;
  bool squares = false;  // reduce_row: of the squares
};

struct Rewritten {
  std::vector<Op> ops;            // by instruction
  std::vector<AccessPath> paths;  // by access
  int64_t rows = 1, cols = 1;     // perhaps not those of the program: a flat domain may be seen as rows
  bool row_reductions = false, col_reductions = false;
};

Rewritten rewrite(const KernelProgram& program, const simd::Table& table);

// Of what a compute instruction reads (of a selection: chooses from).
Dtype dtype_of_operands(const KernelProgram& program, const Op& o);

}  // namespace funcnn::cpu
