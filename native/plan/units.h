// Units while they grow: values join them, they join each other, they move up.
#pragma once

#include <vector>

#include "plan/backend.h"
#include "plan/fuse.h"
#include "plan/uses.h"

namespace funcnn {

class Units {
 public:
  static constexpr size_t kMaxMembers = 4096;

  explicit Units(const Ir& ir) : ir_(ir), unit_of_(ir.values.size(), -1), inlined_(ir.values.size(), 0) {}

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

  // Move a unit to a higher stage; false if something it reads is placed too low.
  bool raise(int u, int stage);
  // Whether one loop nest can do the work of both.
  bool compatible(int a, int b) const;
  // The unit that both are from now on.
  int merge(int a, int b);
  // Make v a member.
  void join(int v, int u);
  // Whether the device of v allows it to join.
  bool allows(int v, const Unit& unit) const;
  // Scalars that v loads where it is repeated inside its readers.
  void set_inlined(int v, int loads);

 private:
  const Ir& ir_;
  std::vector<Unit> units_;
  std::vector<int> parent_;
  // At most so many operands of a kernel are there for the sake of v.
  size_t operands_of(int v) const;
  const Limits& limits_of(int v) const { return backend(ir_.values[size_t(v)].device).limits(); }

  std::vector<int> unit_of_;
  std::vector<int> inlined_;  // loads; 0: not inlined
};

}  // namespace funcnn
