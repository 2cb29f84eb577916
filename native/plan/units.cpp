#include "plan/units.h"

#include <algorithm>

namespace funcnn {
namespace {

// Raising looks at everything that a unit reads.
constexpr size_t kMaxRaised = 256;

}  // namespace

int Units::add(Unit unit) {
  parent_.push_back(int(units_.size()));
  units_.push_back(std::move(unit));
  return int(units_.size()) - 1;
}

int Units::find(int u) {
  while (parent_[size_t(u)] != u) u = parent_[size_t(u)] = parent_[size_t(parent_[size_t(u)])];
  return u;
}

bool Units::raise(int u, int stage) {
  Unit& unit = units_[size_t(u)];
  if (unit.stage >= stage) return unit.stage == stage;
  if (unit.members.size() > kMaxRaised) return false;
  auto placed_too_low = [&](int v, bool itself) {
    int below = of(ir_.values[size_t(v)].view.base);
    return below >= 0 && ((below == u && itself) || (below != u && units_[size_t(below)].stage <= stage));
  };
  for (int m : unit.members)
    for (int input : ir_.values[size_t(m)].inputs) {
      if (placed_too_low(input, false)) return false;
      const Value& seen = ir_.values[size_t(input)];
      if (seen.kind == ValueKind::view &&
          std::any_of(seen.inputs.begin(), seen.inputs.end(), [&](int dep) { return placed_too_low(dep, true); }))
        return false;
    }
  unit.stage = stage;
  return true;
}

bool Units::compatible(int a, int b) const {
  const Unit &x = units_[size_t(a)], &y = units_[size_t(b)];
  // Of loops without elements the columns do not tell how many rows there are.
  if (x.size == 0 && (x.cols >= 0 || y.cols >= 0)) return false;
  const Limits& limits = limits_of(x.members[0]);
  bool mixed = (x.by_row || y.by_row) && (x.by_column || y.by_column);
  return x.size == y.size && (x.cols < 0 || y.cols < 0 || x.cols == y.cols) &&
         x.members.size() + y.members.size() <= kMaxMembers && x.operands + y.operands <= limits.operands &&
         (!mixed || limits.mixed_reductions) && (!x.by_column || !y.by_column || x.bands == y.bands);
}

size_t Units::operands_of(int v) const {
  size_t count = 1;  // where the value goes
  for (int input : ir_.values[size_t(v)].inputs)
    count += size_t(std::max(1, inlined_[size_t(ir_.values[size_t(input)].view.base)]));
  return count;
}

bool Units::allows(int v, const Unit& unit) const {
  const Limits& limits = limits_of(v);
  bool row = ir_.values[size_t(v)].kind == ValueKind::reduce;
  return (limits.operands == SIZE_MAX || unit.operands + operands_of(v) <= limits.operands) &&
         (limits.mixed_reductions || !row || !unit.by_column);
}

void Units::join(int v, int u) {
  Unit& unit = units_[size_t(u)];
  unit.members.push_back(v);
  unit.operands += operands_of(v);
  unit.by_row |= ir_.values[size_t(v)].kind == ValueKind::reduce;
}

void Units::set_inlined(int v, int loads) { inlined_[size_t(v)] = loads; }

int Units::merge(int a, int b) {
  if (a == b) return a;
  Unit &x = units_[size_t(a)], &y = units_[size_t(b)];
  if (x.members.size() < y.members.size()) return merge(b, a);
  if (x.cols < 0) x.cols = y.cols;
  x.members.insert(x.members.end(), y.members.begin(), y.members.end());
  x.operands += y.operands;
  x.by_row |= y.by_row;
  if (y.by_column) x.bands = y.bands;
  x.by_column |= y.by_column;
  y.members = {};
  parent_[size_t(b)] = a;
  return a;
}

}  // namespace funcnn
