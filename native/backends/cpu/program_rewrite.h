// The first half of translating a KernelProgram: a domain cut into rows where that helps, and the same program in the
// operations that tables have.
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

// The domain of a program as tiles see it.
struct Domain {
  std::vector<AccessPath> paths;  // by access
  int64_t rows = 1, cols = 1;     // perhaps not those of the program: a flat domain may be seen as rows
  std::vector<int> row_loads;     // instructions that load one value a row then, instead of elements
  bool row_reductions = false, col_reductions = false;
  // Operands that are the same for every tile, by access; tiles are a multiple of `period` then.
  std::vector<char> kept;
  int64_t period = 1;
};

Domain lay_out(const KernelProgram& program, const simd::Table& table);
// The instructions, by number. Sizes make no difference here.
std::vector<Op> rewrite(const KernelProgram& program, const Domain& domain);

// Of an opcode, or of an operation of simd/table.h.
int arity_of(int op);
// Of what a compute instruction reads (of a selection: chooses from).
Dtype dtype_of_operands(const KernelProgram& program, const Op& o);

}  // namespace funcnn::cpu
