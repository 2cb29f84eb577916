#include "plan/packed_plan.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <set>
#include <utility>

namespace funcnn {
namespace {

// Memory that values have in turn, one after another.
struct Unit {
  size_t bytes;
  bool result = false;
  int block = -1;
  int64_t offset = 0;
};

// Places in one block, each for as long as it is needed.
class Offsets {
 public:
  int64_t take(size_t bytes) {
    auto best = by_bytes_.lower_bound({bytes, 0});
    if (best == by_bytes_.end()) return int64_t(std::exchange(end_, end_ + bytes));
    const auto [free, at] = *best;
    remove(at, free);
    if (free > bytes) add(at + bytes, free - bytes);
    return int64_t(at);
  }
  void give(int64_t offset, size_t bytes) {
    auto at = size_t(offset);
    auto next = free_.upper_bound(at);
    if (next != free_.begin())
      if (auto [before, free] = *std::prev(next); before + free == at) {
        remove(before, free);
        at = before;
        bytes += free;
      }
    if (next != free_.end())
      if (auto [after, free] = *next; at + bytes == after) {
        remove(after, free);
        bytes += free;
      }
    add(at, bytes);
  }
  size_t bytes() const { return end_; }

 private:
  void add(size_t at, size_t bytes) {
    free_.emplace(at, bytes);
    by_bytes_.emplace(bytes, at);
  }
  void remove(size_t at, size_t bytes) {
    free_.erase(at);
    by_bytes_.erase({bytes, at});
  }
  std::map<size_t, size_t> free_;                 // bytes by where they are
  std::set<std::pair<size_t, size_t>> by_bytes_;  // the same, by bytes
  size_t end_ = 0;
};

}  // namespace

std::unique_ptr<PackedPlan> PackedPlan::make(const Plan& plan) {
  size_t total = 0;
  for (const Plan::Step& step : plan.steps_) {
    if (step.source || step.backend->device() != kCpu) return nullptr;
    if (step.primitive && step.primitive->kind() == Kind::control) return nullptr;
    for (const Plan::Fresh& fresh : step.fresh) {
      if (fresh.leaf >= 0) return nullptr;
      if (fresh.bytes > kSmallResult && (total += block_capacity(fresh.bytes)) > kMostBytes) return nullptr;
    }
  }
  if (plan.steps_.empty()) return nullptr;

  // Which values have the same memory, and which of it holds results.
  std::vector<Unit> units;
  std::vector<int> unit_of(size_t(plan.slot_count_), -1);
  for (const Plan::Step& step : plan.steps_)
    for (const Plan::Fresh& fresh : step.fresh) {
      int& unit = unit_of[size_t(fresh.slot)];
      if (fresh.takes_over >= 0) {
        unit = unit_of[size_t(fresh.takes_over)];
        units[size_t(unit)].bytes = std::max(units[size_t(unit)].bytes, block_capacity(fresh.bytes));
      } else {
        unit = int(units.size());
        units.push_back({block_capacity(fresh.bytes)});
      }
    }
  for (const auto& result : plan.results_)
    for (const Plan::Place& place : result)
      if (int unit = unit_of[size_t(place.slot)]; unit >= 0) units[size_t(unit)].result = true;

  auto packed = std::make_unique<PackedPlan>();
  std::vector<size_t>& blocks = packed->blocks_;
  int shared = -1;
  for (Unit& unit : units) {
    if (!unit.result) continue;
    const bool small = unit.bytes <= kSmallResult;
    if (small && shared >= 0 && blocks[size_t(shared)] + unit.bytes <= kSharedBytes) {
      unit.block = shared;
      unit.offset = int64_t(blocks[size_t(shared)]);
      blocks[size_t(shared)] += unit.bytes;
      continue;
    }
    unit.block = int(blocks.size());
    if (small) shared = unit.block;
    blocks.push_back(unit.bytes);
  }

  // Everything else lies in the last block.
  const int last = int(blocks.size());
  Offsets offsets;
  std::vector<char> held(units.size(), 0);
  std::vector<int> owner(unit_of.size(), -1);  // the unit that goes free with a slot
  for (size_t next = 0; next < plan.steps_.size();) {
    const std::span<const Plan::Step> launch(&plan.steps_[next], plan.steps_[next].launched);
    for (const Plan::Step& step : launch)
      for (const Plan::Fresh& fresh : step.fresh) {
        const int number = unit_of[size_t(fresh.slot)];
        if (fresh.takes_over >= 0) owner[size_t(fresh.takes_over)] = -1;
        owner[size_t(fresh.slot)] = number;
        Unit& unit = units[size_t(number)];
        if (unit.result || std::exchange(held[size_t(number)], 1)) continue;
        unit.block = last;
        unit.offset = offsets.take(unit.bytes);
      }
    for (const Plan::Step& step : launch)
      for (int slot : step.released)
        if (int number = std::exchange(owner[size_t(slot)], -1); number >= 0 && !units[size_t(number)].result)
          offsets.give(units[size_t(number)].offset, units[size_t(number)].bytes);
    next += launch.size();
  }
  if (offsets.bytes()) blocks.push_back(offsets.bytes());
  const size_t bytes = std::accumulate(blocks.begin(), blocks.end(), size_t(0),
                                       [](size_t sum, size_t b) { return sum + block_capacity(b); });
  if (bytes > plan.peak_bytes()) return nullptr;

  std::vector<Source> places(unit_of.size());
  for (const Plan::LeafSlot& at : plan.leaf_slots_) places[size_t(at.slot)] = {-1 - at.leaf, 0};
  for (size_t slot = 0; slot < unit_of.size(); ++slot)
    if (int unit = unit_of[slot]; unit >= 0) places[slot] = {units[size_t(unit)].block, units[size_t(unit)].offset};
  auto source = [&](int slot, int64_t offset) {
    const Source& at = places[size_t(slot)];
    return Source{at.from, at.offset + offset};
  };
  for (size_t next = 0; next < plan.steps_.size();) {
    const size_t count = plan.steps_[next].launched, first = packed->operands_.size();
    for (size_t s = next; s < next + count; ++s) {
      const Plan::Step& step = plan.steps_[s];
      if (step.idle) continue;
      for (auto [slot, offset] : step.operands) packed->operands_.push_back(source(slot, offset));
      packed->cost_ += step.cost();
    }
    if (const Plan::Step& step = plan.steps_[next]; !step.idle) {
      Kernel& kernel = step.joint ? *step.joint : *step.kernel;
      packed->launches_.push_back({next, count, first, packed->operands_.size() - first,
                                   step.primitive ? nullptr : dynamic_cast<HostWork*>(&kernel)});
    }
    next += count;
  }
  for (const auto& result : plan.results_)
    for (const Plan::Place& place : result) packed->results_.push_back(source(place.slot, place.offset));
  packed->short_ =
      packed->cost_ <= std::max(kShort, kShortResult * double(packed->results_.size())) &&
      std::all_of(packed->results_.begin(), packed->results_.end(), [](const Source& at) { return at.from >= 0; }) &&
      std::all_of(packed->launches_.begin(), packed->launches_.end(), [](const Launch& l) { return l.work; });
  packed->results_in_.assign(blocks.size(), 0);
  for (const Source& at : packed->results_)
    if (at.from >= 0) ++packed->results_in_[size_t(at.from)];
  return packed;
}

void PackedPlan::run(const Plan& plan, std::span<std::byte* const> leaves, Blocks& blocks) const {
  plan.check_memory();
  blocks.resize(blocks_.size());
  if (!blocks_.empty()) Buffer::allocate(plan.steps_[0].backend->memory(), blocks_, {blocks.data(), blocks.size()});
  SmallVector<std::byte*, 256> operands(operands_.size());
  for (size_t i = 0; i < operands_.size(); ++i) {
    const Source& at = operands_[i];
    operands[i] = (at.from < 0 ? leaves[size_t(-1 - at.from)] : blocks[size_t(at.from)]->host()) + at.offset;
  }
  for (const Launch& launch : launches_) launch.work->run({operands.data() + launch.operands, launch.bound});
}

void PackedPlan::give_away(Blocks& blocks) const {
  for (size_t b = 0; b < blocks.size(); ++b) {
    if (!results_in_[b]) continue;
    if (results_in_[b] > 1) blocks[b]->retain(results_in_[b] - 1);
    blocks[b].detach();
  }
}

void PackedPlan::encode(const Plan& plan, std::span<const Storage* const> leaves, Results results) const {
  Blocks blocks(blocks_.size());
  if (!blocks_.empty()) Buffer::allocate(plan.steps_[0].backend->memory(), blocks_, {blocks.data(), blocks.size()});
  SmallVector<Operand, 256> operands;
  auto at = [&](Source source) -> Operand {
    if (source.from >= 0) return {blocks[size_t(source.from)].get(), source.offset};
    const Storage& leaf = *leaves[size_t(-1 - source.from)];
    return {leaf.buffer.get(), leaf.offset + source.offset, leaf.buffer ? nullptr : leaf.scalar + source.offset};
  };
  operands.reserve(operands_.size());
  for (const Source& source : operands_) operands.push_back(at(source));
  for (const Launch& launch : launches_)
    plan.encode_launch({&plan.steps_[launch.step], launch.count},
                       std::span<const Operand>(operands).subspan(launch.operands, launch.bound));
  Plan::ask_whether_to_go_on(cost_);
  size_t next = 0;
  for (const auto& result : plan.results_)
    for (const Plan::Place& place : result) {
      const Source source = results_[next];
      const Operand from = at(source);
      Storage& storage = *results[next++];
      storage.buffer = source.from < 0 ? Ref<Buffer>(from.buffer) : Ref<Buffer>::counted(from.buffer);
      storage.offset = from.offset;
      storage.strides = place.strides;
      if (from.scalar) std::memcpy(storage.scalar, from.scalar, sizeof(storage.scalar));
    }
  give_away(blocks);
}

}  // namespace funcnn
