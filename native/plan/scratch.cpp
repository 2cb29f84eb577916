// Where the scratch memory of steps lies.
#include <algorithm>
#include <map>

#include "base/memory.h"
#include "plan/plan.h"

namespace funcnn {

// What steps take of the pools of devices and give back. A pool hands a block out again to what has its capacity, so it
// comes to hold as many of each capacity as are in use at once.
class Plan::Blocks {
 public:
  Blocks(std::span<const Step> steps, size_t slots) {
    std::map<std::pair<const Backend*, size_t>, int> kinds;
    std::vector<int> held(slots, -1);  // the kind of block in a slot
    for (const Step& step : steps) {
      starts_.push_back(changes_.size());
      for (const Fresh& fresh : step.fresh) {
        int& kind = held[size_t(fresh.slot)];
        const bool taken = fresh.takes_over < 0;
        if (taken)
          kind = kinds.try_emplace({step.backend, block_capacity(fresh.bytes)}, int(kinds.size())).first->second;
        else
          kind = std::exchange(held[size_t(fresh.takes_over)], -1);
        changes_.push_back({kind, taken});
      }
      for (int slot : step.released) {
        const int kind = std::exchange(held[size_t(slot)], -1);
        changes_.push_back({kind, kind < 0 ? 0 : -1});
      }
    }
    starts_.push_back(changes_.size());
    now_.assign(kinds.size(), 0);
    most_.assign(kinds.size(), 0);
    for (auto [kind, by] : changes_)
      if (by) most_[size_t(kind)] = std::max(most_[size_t(kind)], now_[size_t(kind)] += by);
    now_.assign(kinds.size(), 0);
  }
  // The steps before this one are over.
  void begin(size_t step) {
    for (; step_ < step; ++step_)
      for (auto [kind, by] : of(step_))
        if (by) now_[size_t(kind)] += by;
  }
  // Whether result `f` of a later step, made now already, finds a block that the pool comes to hold anyway.
  bool has_for(size_t later, size_t f) const {
    const int wanted = changes_[starts_[later] + f].kind;
    int count = now_[size_t(wanted)];
    if (count >= most_[size_t(wanted)]) return false;
    for (size_t s = step_; s < later; ++s)
      for (auto [kind, by] : of(s))
        if (kind == wanted && (count += by) >= most_[size_t(wanted)]) return false;
    return true;
  }
  // It is, in the place of the last of what this step makes, which was released first.
  void make_now(size_t later, size_t f, size_t made) {
    Change& result = changes_[starts_[later] + f];
    Change* own = &changes_[starts_[step_] + made];
    own[-1].kind = std::exchange(result, {-1, 0}).kind;
    own[0] = {-1, 0};
  }

 private:
  struct Change {
    int kind, by;
  };
  std::span<const Change> of(size_t step) const {
    return std::span(changes_).subspan(starts_[step], starts_[step + 1] - starts_[step]);
  }
  std::vector<Change> changes_;  // of each step: of what it makes, then of what it releases
  std::vector<size_t> starts_;
  std::vector<int> now_, most_;
  size_t step_ = 0;
};

Plan::Demand& Plan::demand_of(const Backend& backend) {
  return *std::find_if(demands_.begin(), demands_.end(), [&](const Demand& d) { return d.backend == &backend; });
}

void Plan::find_peaks(std::span<const Footprint> footprints) {
  for (Demand& demand : demands_) demand.peak = 0;
  for (size_t s = 0; s < steps_.size(); ++s) {
    size_t& peak = demand_of(*steps_[s].backend).peak;
    peak = std::max(peak, footprints[s].most());
  }
}

// A block of its own would stay with the pool, idle, while later results are computed in others.
void Plan::place_scratch(std::vector<Footprint>& footprints) {
  constexpr size_t kFar = 64;  // steps
  if (std::none_of(footprints.begin(), footprints.end(), [](const Footprint& f) { return f.scratch; })) return;
  Blocks blocks(steps_, size_t(slot_count_));
  for (size_t s = 0; s < steps_.size(); ++s) {
    if (!footprints[s].scratch) continue;
    blocks.begin(s);
    Step& step = steps_[s];
    Fresh& scratch = step.fresh.back();
    const size_t peak = demand_of(*step.backend).peak;
    // What is done once for many runs stays apart.
    const size_t end = std::min(s < constant_steps_ ? constant_steps_ : steps_.size(), s + kFar);
    size_t most = footprints[s].most() - footprints[s].scratch;  // in use until the later step
    for (size_t l = s + 1; l < end; ++l) {
      Step& later = steps_[l];
      if (later.backend != step.backend) continue;
      const size_t results = later.fresh.size() - (footprints[l].scratch != 0);
      size_t f = 0;
      while (f < results && !(later.fresh[f].takes_over < 0 && later.fresh[f].bytes >= scratch.bytes &&
                              most + block_capacity(later.fresh[f].bytes) <= peak && blocks.has_for(l, f)))
        ++f;
      if (f == results) {
        most = std::max(most, footprints[l].most());
        continue;
      }
      blocks.make_now(l, f, step.fresh.size());
      Fresh& result = later.fresh[f];
      scratch.bytes = result.bytes;
      result.takes_over = scratch.slot;
      result.after_scratch = true;
      step.released.front() = step.released.back();
      step.released.pop_back();
      later.released.push_back(scratch.slot);  // where the result is placed elsewhere
      const size_t bytes = block_capacity(result.bytes);
      footprints[s].scratch = 0;
      footprints[s].taken += bytes;
      for (size_t k = s + 1; k <= l; ++k)
        if (steps_[k].backend == step.backend) footprints[k].before += bytes;
      footprints[l].taken -= bytes;
      break;
    }
  }
  find_peaks(footprints);
}

}  // namespace funcnn
