#include "plan/units.h"

#include <algorithm>
#include <iterator>

namespace funcnn {
namespace {

// Raising looks at everything that a unit reads.
constexpr size_t kMaxRaised = 256;

std::vector<int> united(const std::vector<int>& a, const std::vector<int>& b) {
  std::vector<int> out;
  out.reserve(a.size() + b.size());
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

void erase_sorted(std::vector<int>& from, int value) {
  auto at = std::lower_bound(from.begin(), from.end(), value);
  if (at != from.end() && *at == value) from.erase(at);
}

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

Apart Units::raise(int u, int stage) {
  Unit& unit = units_[size_t(u)];
  if (unit.stage >= stage) return unit.stage == stage ? Apart::no : Apart::waits;
  if (unit.members.size() > kMaxRaised) return Apart::length;
  auto placed_too_low = [&](int v, bool itself) {
    int below = of(ir_.values[size_t(v)].view.base);
    return below >= 0 && ((below == u && itself) || (below != u && units_[size_t(below)].stage <= stage));
  };
  for (int m : unit.members)
    for (int input : ir_.values[size_t(m)].inputs) {
      if (placed_too_low(input, false)) return Apart::waits;
      const Value& seen = ir_.values[size_t(input)];
      if (seen.kind == ValueKind::view &&
          std::any_of(seen.inputs.begin(), seen.inputs.end(), [&](int dep) { return placed_too_low(dep, true); }))
        return Apart::waits;
    }
  unit.stage = stage;
  return Apart::no;
}

Apart Units::compatible(int a, int b, int v) {
  const Unit &x = units_[size_t(a)], &y = units_[size_t(b)];
  // Of loops without elements the columns do not tell how many rows there are.
  if (x.size == 0 && (x.cols >= 0 || y.cols >= 0)) return Apart::nothing;
  const Limits& limits = limits_of(x.members[0]);
  bool mixed = (x.by_row || y.by_row) && (x.by_column || y.by_column);
  if (x.size != y.size) return Apart::domain;
  if (x.cols >= 0 && y.cols >= 0 && x.cols != y.cols) return Apart::rows;
  if (x.length + y.length + (v >= 0 ? length_of(v) : 0) > limits.length) return Apart::length;
  if (mixed && !limits.mixed_reductions) return Apart::mixed;
  if (x.by_column && y.by_column && x.bands != y.bands) return Apart::bands;
  if (!counts_operands(x.members[0])) return Apart::no;
  std::vector<int> reads = united(x.reads, y.reads);
  size_t writes = x.writes + y.writes;
  if (v >= 0) {
    erase_sorted(reads, v);
    add_reads(v, a, reads);
    writes += stored(v, a, b);
  }
  return reads.size() + writes <= limits.operands ? Apart::no : Apart::operands;
}

void Units::add_read(int base, int unit, std::vector<int>& reads) {
  if (of(base) == unit) return;
  if (inlined_[size_t(base)]) return add_reads(base, unit, reads);
  auto at = std::lower_bound(reads.begin(), reads.end(), base);
  if (at == reads.end() || *at != base) reads.insert(at, base);
}

void Units::add_reads(int v, int unit, std::vector<int>& reads) {
  for (int input : ir_.values[size_t(v)].inputs) add_read(ir_.values[size_t(input)].view.base, unit, reads);
}

size_t Units::length_of(int v) const {
  const Value& value = ir_.values[size_t(v)];
  if (value.kind != ValueKind::elementwise) return 1;
  const Limits& limits = limits_of(v);
  const size_t one = limits.lengths[size_t(opcode_info(value.opcode).cost)];
  return is_complex(value.dtype) ? one * limits.length_of_complex : one;
}

bool Units::stored(int v, int a, int b) {
  if (uses_.result(v)) return true;
  const std::vector<Use>& uses = uses_.of(v);
  return std::any_of(uses.begin(), uses.end(), [&](const Use& use) {
    if (use.ordering) return false;
    const int u = of_reader(use);
    return u < 0 || (u != a && u != b);
  });
}

Apart Units::allows(int v, int u) {
  const Unit& unit = units_[size_t(u)];
  const Limits& limits = limits_of(v);
  if (!limits.mixed_reductions && ir_.values[size_t(v)].kind == ValueKind::reduce && unit.by_column)
    return Apart::mixed;
  if (unit.length + length_of(v) > limits.length) return Apart::length;
  if (!counts_operands(v)) return Apart::no;
  std::vector<int> reads = unit.reads;
  erase_sorted(reads, v);
  add_reads(v, u, reads);
  return reads.size() + unit.writes + stored(v, u, u) <= limits.operands ? Apart::no : Apart::operands;
}

void Units::join(int v, int u, int copied) {
  Unit& unit = units_[size_t(u)];
  unit.members.push_back(v);
  unit.length += length_of(v);
  unit.by_row |= ir_.values[size_t(v)].kind == ValueKind::reduce;
  if (!counts_operands(v)) return;
  erase_sorted(unit.reads, copied >= 0 ? copied : v);
  add_reads(v, u, unit.reads);
  unit.writes += stored(v, u, u);
}

int Units::merge(int a, int b) {
  if (a == b) return a;
  Unit &x = units_[size_t(a)], &y = units_[size_t(b)];
  if (x.members.size() < y.members.size()) return merge(b, a);
  if (x.cols < 0) x.cols = y.cols;
  x.members.insert(x.members.end(), y.members.begin(), y.members.end());
  x.reads = united(x.reads, y.reads);
  x.writes += y.writes;
  x.length += y.length;
  x.by_row |= y.by_row;
  if (y.by_column) x.bands = y.bands;
  x.by_column |= y.by_column;
  y.members = {};
  y.reads = {};
  parent_[size_t(b)] = a;
  return a;
}

}  // namespace funcnn
