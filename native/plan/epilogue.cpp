#include "plan/epilogue.h"

#include <algorithm>

namespace funcnn {
namespace {

std::optional<Epilogue> join(const Ir& ir, const Emitted& group, int unit, int product) {
  const KernelProgram& p = group.program;
  const Value& value = ir.values[size_t(product)];
  if (p.has_row_reduction() || p.has_col_reduction() || p.rows * p.cols != value.size()) return std::nullopt;
  int read = int(std::find(group.reads.begin(), group.reads.end(), product) - group.reads.begin());
  int write = -1;
  for (size_t i = 0; i < group.writes.size() && write < 0; ++i)
    if (item_size(ir.values[size_t(group.writes[i])].dtype) == item_size(value.dtype) &&
        can_share(p, read, int(group.reads.size() + i)))
      write = int(i);
  if (write < 0) return std::nullopt;

  Epilogue out{unit, p, group.writes[size_t(write)], {}, {}};
  std::vector<int> renamed(size_t(p.operand_count));
  int next = 1;
  for (size_t i = 0; i < group.reads.size(); ++i) {
    if (int(i) == read) continue;
    out.reads.push_back(group.reads[i]);
    renamed[i] = next++;
  }
  for (size_t i = 0; i < group.writes.size(); ++i) {
    if (int(i) == write) continue;
    out.writes.push_back(group.writes[i]);
    renamed[group.reads.size() + i] = next++;
  }
  renamed[size_t(read)] = renamed[group.reads.size() + size_t(write)] = 0;
  for (Access& a : out.program.accesses) a.operand = renamed[size_t(a.operand)];
  out.program.operand_count = next;
  return out;
}

}  // namespace

std::vector<std::optional<Epilogue>> attach_epilogues(const Ir& ir, const Partition& partition,
                                                      const std::vector<Emitted>& emitted,
                                                      const std::function<bool(const Primitive&)>& accepts) {
  std::vector<std::optional<Epilogue>> out(partition.units.size());
  // The one unit that reads a value; -1 for none, -2 for several or somebody outside.
  std::vector<int> reader(ir.values.size(), -1);
  auto reads = [&](int v, int unit) {
    int& mine = reader[size_t(ir.values[size_t(v)].view.base)];
    mine = mine == -1 || mine == unit ? unit : -2;
  };
  for (size_t u = 0; u < partition.units.size(); ++u) {
    const Unit& unit = partition.units[u];
    if (unit.operation >= 0) {
      for (int input : ir.operations[size_t(unit.operation)].inputs) reads(input, int(u));
    } else {
      for (int v : emitted[u].reads) reads(v, int(u));
    }
  }
  for (const auto& result : ir.results)
    for (int v : result) reader[size_t(ir.values[size_t(v)].view.base)] = -2;

  std::vector<char> taken(partition.units.size(), 0);
  for (size_t u = 0; u < partition.units.size(); ++u) {
    const Unit& unit = partition.units[u];
    if (unit.operation < 0) continue;
    const Operation& op = ir.operations[size_t(unit.operation)];
    if (op.outputs.size() != 1 || !accepts(*op.primitive)) continue;
    int group = reader[size_t(op.outputs[0])];
    if (group < 0 || taken[size_t(group)] || partition.units[size_t(group)].operation >= 0) continue;
    out[u] = join(ir, emitted[size_t(group)], group, op.outputs[0]);
    if (out[u]) taken[size_t(group)] = 1;
  }
  return out;
}

}  // namespace funcnn
