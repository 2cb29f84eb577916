// Which values are computed together: the partition of an Ir into units of work.
//
// Values are visited from the results backwards and join the unit of their users where the loops agree, so that work
// happens next to where it is needed and nothing is stored that one unit can keep to itself. Every unit has a stage; a
// value read from memory lies at a higher stage than its reader. Values that share a unit share its stage, so no two
// units can wait for each other.
#pragma once

#include <vector>

#include "plan/ir.h"
#include "plan/kernel_program.h"

namespace funcnn {

struct Unit {
  int operation = -1;  // an operation alone, or -1: a fused group
  int stage = 0;
  int64_t size = 0;          // elements of the loop nest
  int64_t cols = -1;         // -1: not divided into rows
  std::vector<int> members;  // values, in order of computation
  uint64_t sequence = 0;
};

struct Partition {
  std::vector<Unit> units;
  std::vector<int> unit_of;     // value -> unit; -1: a leaf, a view, not needed, or only inlined
  std::vector<Space> space_of;  // members of groups
  std::vector<char> stored;     // whether the value needs memory of its own
  std::vector<char> inlined;    // a small computation on scalars, repeated by every reader
};

// May add values to `ir`: copies of cheap ones, so that a reader far away computes them again instead of loading them.
Partition fuse(Ir& ir, bool enabled);

// How a reduction sees its input: kept axes, then reduced ones.
struct ReduceForm {
  int64_t kept = 1, reduced = 1;
  bool by_column = false;  // the reduced axes come first: accumulate rows
  Shape shape;             // of the input, reordered unless by_column
  View view;
};
ReduceForm reduce_form(const Ir& ir, const Value& reduce);

}  // namespace funcnn
