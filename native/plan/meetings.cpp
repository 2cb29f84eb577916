#include "plan/meetings.h"

#include <algorithm>
#include <set>
#include <string>
#include <tuple>

#include "base/error.h"

namespace funcnn {
namespace {

std::string title_of(const Ir& ir, const Value& value) {
  std::string_view name = value.kind == ValueKind::elementwise ? opcode_info(value.opcode).name
                          : value.kind == ValueKind::reduce    ? reduce_name(value.reduce)
                          : value.kind == ValueKind::operation
                              ? ir.operations[size_t(value.operation)].primitive->name()
                              : "index";
  return cat(name, " ", value.dtype, value.shape);
}

}  // namespace

std::vector<Plan::Meeting> find_meetings(const Ir& ir, const Partition& partition, std::span<const Seam> seams,
                                         const WithoutEpilogue& without, std::span<const int> step_of) {
  auto unit_of = [&](int reader) {
    return partition.unit_of[size_t(reader < 0 ? ir.operations[size_t(-1 - reader)].outputs[0] : reader)];
  };
  std::vector<Plan::Meeting> meetings;
  std::set<std::tuple<int, int, std::string>> known;
  std::set<std::pair<int, int>> read;  // steps of which one reads the other
  for (const Seam& seam : seams) {
    const int from = unit_of(seam.value), to = unit_of(seam.reader);
    if (from < 0 || to < 0) continue;
    int before = step_of[size_t(from)], after = step_of[size_t(to)];
    if (before == after) continue;
    if (before > after) std::swap(before, after);  // siblings come in any order
    auto found = without.find({from, to});
    const Apart why = found == without.end() ? seam.why : found->second;
    std::string title = seam.siblings ? std::string() : title_of(ir, ir.values[size_t(seam.value)]);
    if (!seam.siblings) read.emplace(before, after);
    if (known.emplace(after, before, title).second) meetings.push_back({before, after, title, seam.siblings, why});
  }
  // Where one reads the other, it says little that both read a third.
  std::erase_if(meetings, [&](const Plan::Meeting& m) { return m.siblings && read.count({m.before, m.after}); });
  std::stable_sort(meetings.begin(), meetings.end(), [](const Plan::Meeting& a, const Plan::Meeting& b) {
    return std::tie(a.after, a.before) < std::tie(b.after, b.before);
  });
  return meetings;
}

}  // namespace funcnn
