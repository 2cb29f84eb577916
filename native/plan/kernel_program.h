// A fused kernel as a value: a short list of scalar instructions over a two-dimensional loop nest. The CPU back end
// interprets it over tiles; the GPU back ends print it as source. Nothing here knows which.
#pragma once

#include <cstdint>
#include <ostream>
#include <vector>

#include "base/dtype.h"
#include "base/hash.h"
#include "base/shape.h"
#include "graph/opcode.h"

namespace funcnn {

// Where the value of an instruction varies.
enum class Space : uint8_t {
  scalar,   // one value for the whole domain
  row,      // one value a row
  element,  // one value for each element
};

// How a load or store walks its operand: the elements of the space it belongs to (rows * cols, rows or 1), counted in
// row-major order, are spread over `shape`, and element (i0, i1, ...) is found at offset + sum(i * strides).
struct Access {
  int operand = 0;  // position among the pointers of the kernel
  Dtype dtype = Dtype::float32;
  int64_t offset = 0;
  Shape shape;
  Strides strides;
  bool operator==(const Access&) const = default;
};

enum class InstructionKind : uint8_t {
  load,        // access -> value
  index,       // the flat element number as `dtype`, plus nothing else (element space)
  compute,     // opcode on earlier values
  reduce_row,  // element value -> row value, over the columns
  reduce_col,  // element value -> stored through `access` (bands * cols elements), over the rows of each band; a value
               // for nobody
  store,       // value -> access
};

// Values are named by the position of the instruction that makes them. float16 and bfloat16 exist in memory only:
// loads widen them to float32 and stores round, so `dtype` of a value is never one of them.
struct Instruction {
  InstructionKind kind = InstructionKind::compute;
  Opcode op = Opcode::copy;
  ReduceOp reduce = ReduceOp::sum;
  Space space = Space::element;
  Dtype dtype = Dtype::float32;  // of the value made (for stores and reduce_col: of the value read)
  int args[3] = {-1, -1, -1};
  int access = -1;
  bool half = false;  // computed of float16 or bfloat16: the value need not be more precise than those are
  bool operator==(const Instruction&) const = default;
  void hash(Hasher& h) const;
};

// Operands of a compute instruction may live in a smaller space than the instruction: they are repeated. They have the
// dtype the opcode works in: the result's own, or for comparisons and predicates any one common dtype, or for `copy`
// any, for `select` a bool first; real / imag of complex64 give float32.
struct KernelProgram {
  int64_t rows = 1, cols = 1;
  int64_t bands = 1;  // the rows come in so many bands of equal length, which column reductions keep apart
  std::vector<Access> accesses;
  std::vector<Instruction> code;
  int operand_count = 0;

  bool has_row_reduction() const;
  bool has_col_reduction() const;
};

std::ostream& operator<<(std::ostream& out, const KernelProgram& program);

}  // namespace funcnn
