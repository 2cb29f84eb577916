// Steps that run together: the update of an optimiser is one loop over all parameters.
#include <algorithm>

#include "plan/plan.h"

namespace funcnn {

// A launch makes its results, runs its kernels in any order, then lets go of what they read last. So its steps read
// nothing that it makes, overwrite nothing that another of them reads, and hold at once what they would hold in turn.
void Plan::join_steps(const std::vector<Footprint>& footprints) {
  const auto slots = size_t(slot_count_);
  std::vector<size_t> used(slots, 0), made(slots, 0);  // the last launch that did, by its first step plus one
  for (size_t first = 0, last; first < steps_.size(); first = last) {
    Step& step = steps_[first];
    const size_t peak = demand_of(*step.backend).peak;
    size_t in_use = footprints[first].before;
    auto joins = [&](const Step& next, const Footprint& footprint) {
      if (next.backend != step.backend || in_use + footprint.taken > peak) return false;
      if (next.primitive && !next.idle) return false;
      return std::none_of(next.operands.begin(), next.operands.end(),
                          [&](auto& o) { return made[size_t(o.first)] == first + 1; }) &&
             std::none_of(next.fresh.begin(), next.fresh.end(),
                          [&](const Fresh& f) { return f.takes_over >= 0 && used[size_t(f.takes_over)] == first + 1; });
    };
    // What is done once for many runs stays apart.
    const size_t end = first < constant_steps_ ? constant_steps_ : steps_.size();
    for (last = first; !step.idle && last < end && joins(steps_[last], footprints[last]); ++last) {
      in_use += footprints[last].taken;
      for (auto [slot, offset] : steps_[last].operands) used[size_t(slot)] = first + 1;
      for (const Fresh& fresh : steps_[last].fresh) made[size_t(fresh.slot)] = first + 1;
    }
    last = std::max(last, first + 1);
    if (last - first == 1) continue;
    std::vector<std::shared_ptr<Kernel>> kernels;
    for (size_t s = first; s < last; ++s)
      if (!steps_[s].idle) kernels.push_back(steps_[s].kernel);
    if (kernels.size() == 1) continue;
    if ((step.joint = step.backend->make_joint(kernels))) step.launched = last - first;
  }
}

size_t Plan::launch_count() const {
  size_t count = 0;
  for (size_t s = 0; s < steps_.size(); s += steps_[s].launched) ++count;
  return count;
}

}  // namespace funcnn
