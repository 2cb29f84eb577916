#include "plan/repeat.h"

#include <algorithm>

namespace funcnn {
namespace {

constexpr int kMaxSteps = 12;
// Of a value with more readers it is not asked whether others read it from memory.
constexpr size_t kMaxReaders = 64;

// A second computation may round differently. Finding a maximum by equality, or the chosen operand of `maximum` by
// comparing with the result, would not survive that.
bool is_compared(const Ir& ir, const Uses& uses, int v) {
  return std::any_of(uses.of(v).begin(), uses.of(v).end(), [&](const Use& use) {
    if (use.reader < 0) return false;
    const Value& reader = ir.values[size_t(use.reader)];
    return reader.kind == ValueKind::elementwise && opcode_info(reader.opcode).compares;
  });
}

bool in_memory_anyway(const Uses& uses, Units& units, int b, int home) {
  if (uses.result(b)) return true;
  for (const Use& use : uses.of(b))
    if (int u = units.of_reader(use); use.reader < 0 || (u >= 0 && u != home)) return true;
  return false;
}

void edit(Ir& ir, Partition& partition, const Edit& edit) {
  make_edit(ir, edit);
  partition.edits.push_back(edit);
}

void add_value(Ir& ir, Uses& uses, Units& units, Partition& partition, int like, int base, int unit, Space space) {
  edit(ir, partition, {like, -1, base});
  uses.extend(unit >= 0);
  units.extend(unit);
  partition.extend(space);
}

}  // namespace

bool much_smaller(int64_t a, int64_t b) { return a <= b / 4; }

void make_edit(Ir& ir, const Edit& edit) {
  if (edit.input >= 0) {
    ir.values[size_t(edit.value)].inputs[size_t(edit.input)] = edit.with;
    return;
  }
  Value value = ir.values[size_t(edit.value)];
  value.view.base = edit.with;
  ir.values.push_back(std::move(value));
}

bool repeatable(const Ir& ir, const Uses& uses, Units& units, Partition& partition, int v, int home, bool cheap) {
  if (is_compared(ir, uses, v)) return false;
  int steps = 0;
  int source = -1;
  std::vector<int> pending{v};
  while (!pending.empty()) {
    const Value& value = ir.values[size_t(pending.back())];
    pending.pop_back();
    if (value.kind != ValueKind::elementwise || ++steps > kMaxSteps) return false;
    if (cheap && opcode_info(value.opcode).cost >= OpcodeCost::exponential) return false;
    for (int input : value.inputs) {
      const Value& seen = ir.values[size_t(input)];
      if (seen.kind == ValueKind::view && !seen.inputs.empty()) return false;
      int b = seen.view.base;
      const Value& base = ir.values[size_t(b)];
      Comparison c{base.size(), ir.values[size_t(v)].size(), false};
      c.smaller = much_smaller(c.a, c.b);
      if (partition.comparisons.empty() || !(partition.comparisons.back() == c)) partition.comparisons.push_back(c);
      if (c.smaller) continue;
      if (base.kind == ValueKind::elementwise && uses.of(b).size() > kMaxReaders) return false;
      if (base.kind == ValueKind::elementwise && !in_memory_anyway(uses, units, b, home)) {
        pending.push_back(b);
      } else if (base.kind == ValueKind::reduce || base.kind == ValueKind::index || (source >= 0 && source != b)) {
        return false;
      } else {
        source = b;
      }
    }
  }
  return true;
}

void repeat(Ir& ir, Uses& uses, Units& units, Partition& partition, int v, int u, Space space,
            std::span<const int> numbers) {
  int copy = int(ir.values.size());
  add_value(ir, uses, units, partition, v, copy, u, space);
  units.join(copy, u, v);
  for (int n : numbers) {
    Use use = uses.of(v)[size_t(n)];
    int reader = use.reader;
    use.view.base = copy;
    uses.of(copy).push_back(std::move(use));
    if (ir.values[size_t(reader)].kind == ValueKind::reduce) uses.move_form(reader, copy);
    for (size_t k = 0; k < ir.values[size_t(reader)].inputs.size(); ++k) {
      int input = ir.values[size_t(reader)].inputs[k];
      if (ir.values[size_t(input)].view.base != v) continue;
      int instead = copy;
      if (input != v) {
        instead = int(ir.values.size());
        add_value(ir, uses, units, partition, input, copy, -1, Space::element);
      }
      edit(ir, partition, {reader, int(k), instead});
    }
  }
  const Value value = ir.values[size_t(copy)];
  for (int input : value.inputs) {
    const Value& from = ir.values[size_t(input)];
    uses.add(ir, input, copy, broadcast_view(from.view, from.shape, value.shape));
  }
}

}  // namespace funcnn
