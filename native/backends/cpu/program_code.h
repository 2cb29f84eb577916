// A KernelProgram translated for tiles: steps that call table entries on slots, in one or several pieces of code.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backends/cpu/access_path.h"

namespace funcnn::cpu {

// How the domain is cut into tiles. A tile is some whole rows, or a part of one row.
enum class Form : uint8_t {
  tiles,   // one pass over all tiles
  phases,  // rows too long for a tile that are reduced: a pass a reduction level, partial results between them
};

// Where the value of a slot lies.
struct Slot {
  enum Kind : uint8_t {
    element_register,  // scratch of the thread, one value for each element of the tile
    row_register,      // scratch of the thread, one value a row of the tile
    run_value,         // kept for the whole run: a scalar
    run_row,           // kept for the whole run: one value for each row of the domain
    element_memory,    // dense operand memory
    row_memory,
    column_memory,  // the same dense row for every row
    scalar_memory,
  };
  Kind kind = element_register;
  Dtype dtype = Dtype::float32;
  int operand = -1;    // memory
  int64_t offset = 0;  // bytes into the operand or the run's values; number of the register
  bool in_operand() const { return kind >= element_memory; }
};

struct Step {
  enum Kind : uint8_t { compute, load, store, index, expand, reduce_row, sum_squares, reduce_col };
  Kind kind = compute;
  Space space = Space::element;
  bool by_row = false;  // compute: some operand repeats for each row, so rows are done one by one
  uint8_t arity = 0;
  int16_t row_step[4] = {0, 0, 0, 0};  // bytes from row to row for a row operand, 0 for a column, -item for an element
  int out = 0, a = 0, b = 0, c = 0;    // slots
  int path = -1;
  bool in_rows = false;          // load, store: each row of elements lies densely, or these are values of rows
  int op = -1;                   // compute: number of the operation in the tables
  Dtype dtype = Dtype::float32;  // of the operands
  ReduceOp reduce = ReduceOp::sum;
  int reduction = -1;  // number among the reductions (partial results), reduce_row in phases and reduce_col
  uint8_t item = 4;
  union {
    simd::ComputeFn fn = nullptr;
    simd::RowReduceFn row_fn;
    simd::ColReduceFn col_fn;
    simd::SumSquaresFn squares_fn;
    simd::ExpandFn expand_fn;
    simd::IndexFn index_fn;
  };
};

struct Code {
  std::vector<Step> steps;
  std::vector<int> slots;  // those that change from tile to tile or from thread to thread
  int element_registers = 0, row_registers = 0;
  int kept = 0;  // so many steps, the first ones, load what is the same for every tile
};

// A row reduction by phases or a column reduction.
struct Reduction {
  Dtype dtype;
  int slot = -1;  // phases: where the value of the rows goes
  int path = -1;  // columns: where the result goes
  simd::RowReduceFn row_fn = nullptr;
  simd::ColReduceFn col_fn = nullptr;
};

namespace jit {
class Hot;
}

// What is done, for programs that differ in sizes only (where they are not reduced by phases).
struct Routine {
  const simd::Table* table = nullptr;
  Form form = Form::tiles;
  bool row_reductions = false, col_reductions = false;
  size_t element_item = 1;    // bytes of an element in a register
  std::vector<Slot> slots;    // memory without its offset
  std::vector<int> accesses;  // of the slots: -1 for those that are no memory
  Code scalars;               // once a run
  std::vector<Code> rows_of;  // phases: the row values that can be computed before phase k
  std::vector<Code> code;     // one (tiles), or one a phase
  std::vector<std::vector<int>> phase_reductions;
  std::vector<Reduction> reductions;
  int64_t run_bytes = 0;          // of values kept for the whole run
  double cost = 1;                // of an element, about in additions
  std::shared_ptr<jit::Hot> hot;  // the same in machine code, once it is worth that
};

struct Translation {
  std::shared_ptr<const Routine> routine;
  int64_t rows = 1, cols = 1;            // perhaps not those of the program: a flat domain may be seen as rows
  int64_t bands = 1;                     // of column reductions; tiles do not reach across
  int64_t tile_rows = 1, tile_cols = 1;  // tile_cols < cols: parts of a row
  int64_t period = 1;                    // of what is kept from tile to tile
  std::vector<AccessPath> paths;
  std::vector<Slot> slots;
};

Translation translate(const KernelProgram& program, const simd::Table& table);
// Routines are kept for further translations, within a bound of bytes.
void clear_routines();

}  // namespace funcnn::cpu
