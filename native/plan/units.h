// Units while they grow: values join them, they join each other, they move up.
#pragma once

#include <vector>

#include "plan/apart.h"
#include "plan/backend.h"
#include "plan/fuse.h"
#include "plan/uses.h"

namespace funcnn {

class Units {
 public:
  Units(const Ir& ir, const Uses& uses)
      : ir_(ir), uses_(uses), unit_of_(ir.values.size(), -1), inlined_(ir.values.size(), 0) {}

  Unit& operator[](int u) { return units_[size_t(u)]; }
  const Unit& operator[](int u) const { return units_[size_t(u)]; }
  size_t size() const { return units_.size(); }
  int add(Unit unit);
  // The unit that u has become part of.
  int find(int u);
  // The unit of a value, or of a reader; -1: of none.
  int of(int v) { return unit_of_[size_t(v)] < 0 ? -1 : find(unit_of_[size_t(v)]); }
  int of_reader(const Use& use) {
    return use.reader < 0 ? of(ir_.operations[size_t(-1 - use.reader)].outputs[0]) : of(use.reader);
  }
  void put(int v, int u) { unit_of_[size_t(v)] = u; }
  // A value has been added to the Ir.
  void extend(int u) {
    unit_of_.push_back(u);
    inlined_.push_back(0);
  }

  // Move a unit to a higher stage, unless something it reads is placed too low.
  Apart raise(int u, int stage);
  // Whether one loop nest can do the work of both, and of `v`, which joins them then (-1: nothing does); why not.
  Apart compatible(int a, int b, int v = -1);
  // The unit that both are from now on.
  int merge(int a, int b);
  // Make v a member; a copy of `copied`, which the unit reads no longer (-1: of nothing).
  void join(int v, int u, int copied = -1);
  // Whether the device of v allows it to join, or why not.
  Apart allows(int v, int u);
  // v is repeated inside its readers, which load what it is computed from.
  void set_inlined(int v) { inlined_[size_t(v)] = 1; }

 private:
  const Limits& limits_of(int v) const { return backend(ir_.values[size_t(v)].device).limits(); }
  bool counts_operands(int v) const { return limits_of(v).operands != SIZE_MAX; }
  size_t length_of(int v) const;
  // Adds what v reads from memory, in order; nothing of `unit`, which makes it itself.
  void add_reads(int v, int unit, std::vector<int>& reads);
  void add_read(int base, int unit, std::vector<int>& reads);
  // Whether v, a member of a or b, needs memory of its own.
  bool stored(int v, int a, int b);

  const Ir& ir_;
  const Uses& uses_;
  std::vector<Unit> units_;
  std::vector<int> parent_;
  std::vector<int> unit_of_;
  std::vector<char> inlined_;
};

}  // namespace funcnn
