// Which values are computed together: the partition of an Ir into units of work.
//
// Values are visited from the results backwards and join the unit of their users where the loops agree, so that work
// happens next to where it is needed and nothing is stored that one unit can keep to itself. Every unit has a stage; a
// value read from memory lies at a higher stage than its reader. Values that share a unit share its stage, so no two
// units can wait for each other.
#pragma once

#include <unordered_map>
#include <vector>

#include "plan/apart.h"
#include "plan/ir.h"
#include "plan/kernel_program.h"
#include "plan/reduce_form.h"

namespace funcnn {

// A loop that is a single row, divided so for the scalars that come from it, has at most so many elements.
constexpr int64_t kLongestOnlyRow = 1 << 14;

struct Unit {
  int operation = -1;  // an operation alone, or -1: values computed in one loop nest
  int stage = 0;
  int64_t size = 0;  // elements of the loop nest
  // Of the loop nest. While units grow, -1 says that it is not divided into rows; a finished one is then a single row.
  int64_t rows = 1, cols = -1;
  std::vector<int> members;  // values of a loop nest, in order of computation
  size_t length = 0;         // of its kernel (`Limits`)
  uint64_t sequence = 0;
  // While units grow: the values it reads from memory, in order, and how many of its own go there, both where a device
  // limits them; and which reductions it has.
  std::vector<int> reads;
  size_t writes = 0;
  bool by_row = false, by_column = false;
  int64_t bands = 1;  // of the reductions by column (`ReduceForm`)
};

// A change of the Ir: value `value` reads value `with` as its input number `input`, or, where that is -1, a copy of it
// that lies in the memory of `with` has been added.
struct Edit {
  int value, input, with;
};

// Two numbers of elements that were compared by `much_smaller`.
struct Comparison {
  int64_t a, b;
  bool smaller;
  bool operator==(const Comparison&) const = default;
};

struct Partition {
  std::vector<Unit> units;
  std::vector<int> unit_of;                   // value -> unit; -1: a leaf, a view, not needed, or only inlined
  std::vector<Space> space_of;                // members of fused units
  std::vector<char> stored;                   // whether the value needs memory of its own
  std::vector<char> inlined;                  // a small computation on scalars, repeated by every reader
  std::unordered_map<int, ReduceForm> forms;  // of the reductions
  // What the search did and asked, for `DecisionCache`.
  std::vector<Edit> edits;
  std::vector<Comparison> comparisons;

  // A value has been added to the Ir.
  void extend(Space space) {
    unit_of.push_back(-1);
    space_of.push_back(space);
    stored.push_back(0);
    inlined.push_back(0);
  }
};

// May add values to `ir`: copies of cheap ones, so that a reader far away computes them again instead of loading them.
// `seams` (may be null): where the units meet, and why they are apart.
Partition fuse(Ir& ir, bool enabled, Seams* seams = nullptr);

}  // namespace funcnn
