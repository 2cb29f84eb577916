#include "plan/epilogue.h"

#include <algorithm>

namespace funcnn {
namespace {

// `in_place`: a result of the unit takes the memory of the product, which nobody else reads.
std::optional<Epilogue> join(const Ir& ir, const Emitted& fused, int unit, int product, bool in_place, Apart& why) {
  auto refused = [&](Apart reason) {
    why = reason;
    return std::nullopt;
  };
  const KernelProgram& p = fused.program;
  const Value& value = ir.values[size_t(product)];
  if (p.has_row_reduction() || p.has_col_reduction()) return refused(Apart::reduction);
  if (p.rows * p.cols != value.size()) return refused(Apart::domain);
  int read = int(std::find(fused.reads.begin(), fused.reads.end(), product) - fused.reads.begin());
  // Other elements of the product may not be there yet.
  if (!fused.sharing.in_order(p, read)) return refused(Apart::order);
  int write = -1;
  for (size_t i = 0; in_place && i < fused.writes.size() && write < 0; ++i)
    if (item_size(ir.values[size_t(fused.writes[i])].dtype) == item_size(value.dtype) &&
        fused.sharing.possible(p, read, int(fused.reads.size() + i)))
      write = int(i);
  if (in_place && write < 0) return refused(Apart::no_place);

  Epilogue out{unit, p, {}, in_place ? fused.writes[size_t(write)] : product, {}, {}};
  std::vector<int> renamed(size_t(p.operand_count));
  int next = 1;
  for (size_t i = 0; i < fused.reads.size(); ++i) {
    if (int(i) == read) continue;
    out.reads.push_back(fused.reads[i]);
    renamed[i] = next++;
  }
  for (size_t i = 0; i < fused.writes.size(); ++i) {
    if (int(i) == write) continue;
    out.writes.push_back(fused.writes[i]);
    renamed[fused.reads.size() + i] = next++;
  }
  renamed[size_t(read)] = 0;
  if (in_place) renamed[fused.reads.size() + size_t(write)] = 0;
  for (Access& a : out.program.accesses) a.operand = renamed[size_t(a.operand)];
  out.program.operand_count = next;
  return out;
}

// Whether a result of the unit can take the memory of an argument that is given away: an optimiser step that reads a
// gradient then updates its parameter in place, and the product gets memory for a moment only.
bool updates_argument(const Ir& ir, const Emitted& fused, const Operation& op) {
  for (size_t r = 0; r < fused.reads.size(); ++r) {
    const Value& read = ir.values[size_t(fused.reads[r])];
    if (read.kind != ValueKind::leaf || !ir.leaves[size_t(read.leaf)].disposable) continue;
    bool factor = std::any_of(op.inputs.begin(), op.inputs.end(),
                              [&](int input) { return ir.values[size_t(input)].view.base == fused.reads[r]; });
    if (factor) continue;
    for (size_t w = 0; w < fused.writes.size(); ++w) {
      const Value& write = ir.values[size_t(fused.writes[w])];
      if (write.size() == read.size() && write.dtype == read.dtype &&
          fused.sharing.possible(fused.program, int(r), int(fused.reads.size() + w)))
        return true;
    }
  }
  return false;
}

}  // namespace

std::vector<std::optional<Epilogue>> attach_epilogues(
    const Ir& ir, const Partition& partition, const std::vector<Emitted>& emitted,
    const std::function<bool(const Operation&, const KernelProgram&)>& accepts,
    const std::function<void(int operation, int reader, Apart)>& refused) {
  std::vector<std::optional<Epilogue>> out(partition.units.size());
  std::vector<SmallVector<int, 2>> readers(ir.values.size());
  auto reads = [&](int v, size_t unit) {
    // Units come one after another, so that one which is listed is the last.
    auto& mine = readers[size_t(ir.values[size_t(v)].view.base)];
    if (mine.empty() || mine.back() != int(unit)) mine.push_back(int(unit));
  };
  for (size_t u = 0; u < partition.units.size(); ++u) {
    const Unit& unit = partition.units[u];
    if (unit.operation >= 0) {
      for (int input : ir.operations[size_t(unit.operation)].inputs) reads(input, u);
    } else {
      for (int v : emitted[u].reads) reads(v, u);
    }
  }
  std::vector<char> is_result(ir.values.size(), 0);
  for (const auto& result : ir.results)
    for (int v : result) is_result[size_t(ir.values[size_t(v)].view.base)] = 1;

  std::vector<char> taken(partition.units.size(), 0);
  for (size_t u = 0; u < partition.units.size(); ++u) {
    const Unit& unit = partition.units[u];
    if (unit.operation < 0) continue;
    const Operation& op = ir.operations[size_t(unit.operation)];
    if (op.outputs.size() != 1) {
      for (int output : op.outputs)
        for (int r : readers[size_t(output)]) refused(int(u), r, Apart::several_results);
      continue;
    }
    int product = op.outputs[0];
    // The reader that runs first; everything else it reads must be there before the operation runs.
    int first = -1;
    for (int r : readers[size_t(product)])
      if (partition.units[size_t(r)].operation < 0 && !taken[size_t(r)] &&
          (first < 0 || partition.units[size_t(r)].stage > partition.units[size_t(first)].stage))
        first = r;
    for (int r : readers[size_t(product)])
      if (r != first) refused(int(u), r, taken[size_t(r)] ? Apart::taken : Apart::later_reader);
    if (first < 0) continue;
    bool alone = readers[size_t(product)].size() == 1 && !is_result[size_t(product)];
    // Others that read the product wait for all that the reader waits for. Of two operations at one stage the later may
    // so wait for the earlier, never each for the other.
    bool waits =
        !alone && std::any_of(emitted[size_t(first)].reads.begin(), emitted[size_t(first)].reads.end(), [&](int v) {
          int from = partition.unit_of[size_t(v)];
          if (v == product || from < 0) return false;
          int stage = partition.units[size_t(from)].stage;
          return stage < unit.stage || (stage == unit.stage && size_t(from) > u);
        });
    if (waits) {
      refused(int(u), first, Apart::waits);
      continue;
    }
    bool in_place = alone && !updates_argument(ir, emitted[size_t(first)], op);
    Apart why = Apart::no;
    out[u] = join(ir, emitted[size_t(first)], first, product, in_place, why);
    if (out[u] && !accepts(op, out[u]->program)) {
      why = Apart::kernel;
      out[u].reset();
    }
    if (out[u])
      taken[size_t(first)] = 1;
    else
      refused(int(u), first, why);
  }
  return out;
}

}  // namespace funcnn
