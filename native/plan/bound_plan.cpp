#include "plan/bound_plan.h"

#include <algorithm>

namespace funcnn {
namespace {

bool same(const Operand& a, const Operand& b) {
  return a.buffer == b.buffer && a.offset == b.offset && a.scalar == b.scalar;
}

}  // namespace

Course Course::shifted(int64_t bytes) const {
  Course moved = *this;
  for (Operand& place : moved.places) {
    place.offset += bytes;
    if (place.scalar) place.scalar += bytes;
  }
  return moved;
}

bool operator==(const Course& a, const Course& b) {
  return same(a.places[0], b.places[0]) && same(a.places[1], b.places[1]) && a.stride == b.stride;
}

bool BoundPlan::fits(const Plan& plan) {
  const bool transfers = std::any_of(plan.steps_.begin(), plan.steps_.end(), [](const auto& s) { return s.source; });
  return !transfers && bytes(plan) <= kMostBytes;
}

size_t BoundPlan::bytes(const Plan& plan) {
  size_t bytes = 0;
  for (size_t s = plan.constant_steps_; s < plan.steps_.size(); ++s)
    for (const Plan::Fresh& fresh : plan.steps_[s].fresh) bytes += block_capacity(fresh.bytes);
  return bytes;
}

BoundPlan::BoundPlan(const Plan& plan, std::span<const Course> leaves, std::span<const Ref<Buffer>> prepared,
                     std::span<const Course> places)
    : plan_(&plan) {
  const auto slots = size_t(plan.slot_count_);
  std::vector<Course> course(slots);
  std::vector<Ref<Buffer>> mine(slots);  // what lies in memory of the plan's own
  for (auto [leaf, slot, given] : plan.leaf_slots_) course[size_t(slot)] = leaves[size_t(leaf)];
  for (size_t i = 0; i < prepared.size(); ++i)
    course[size_t(plan.constant_slots_[i])] = Course(Operand{prepared[i].get()});

  for (size_t next = plan.constant_steps_; next < plan.steps_.size();) {
    const std::span<const Plan::Step> launch(&plan.steps_[next], plan.steps_[next].launched);
    next += launch.size();
    const size_t first = operands_[0].size();
    for (const Plan::Step& step : launch) {
      for (const Plan::Fresh& fresh : step.fresh) {
        const auto slot = size_t(fresh.slot);
        if (fresh.result >= 0 && !places.empty() && places[size_t(fresh.result)]) {
          course[slot] = places[size_t(fresh.result)];
          continue;
        }
        const bool given = fresh.takes_over >= 0 && mine[size_t(fresh.takes_over)];
        mine[slot] = given ? std::move(mine[size_t(fresh.takes_over)]) : take(step.backend->memory(), fresh.bytes);
        course[slot] = Course(Operand{mine[slot].get()});
      }
      if (step.idle) continue;
      for (auto [slot, offset] : step.operands) {
        const Course at = course[size_t(slot)].shifted(offset);
        if (at.stride) moving_.push_back({operands_[0].size(), at});
        for (int odd = 0; odd < 2; ++odd) operands_[odd].push_back(at.places[odd]);
      }
      effort_ += step.cost();
    }
    if (!launch[0].idle) launches_.push_back({launch, first, operands_[0].size() - first});
    for (const Plan::Step& step : launch)
      for (int slot : step.released)
        if (Ref<Buffer> freed = std::move(mine[size_t(slot)])) free_.push_back(std::move(freed));
  }
  free_.clear();
  for (const auto& result : plan.results_) results_.push_back(course[size_t(result[0].slot)].shifted(result[0].offset));
}

// Kernels run in order, so one may have the memory that another is done with.
Ref<Buffer> BoundPlan::take(DeviceMemory& memory, size_t bytes) {
  auto fits = [&](const Ref<Buffer>& b) { return &b->memory() == &memory && b->size() >= bytes; };
  auto found = std::find_if(free_.begin(), free_.end(), fits);
  if (found == free_.end()) {
    buffers_.push_back(Buffer::allocate(memory, bytes));
    return buffers_.back();
  }
  Ref<Buffer> taken = std::move(*found);
  free_.erase(found);
  return taken;
}

void BoundPlan::encode(int64_t step) {
  std::vector<Operand>& operands = operands_[step & 1];
  for (const Moving& m : moving_) operands[m.operand] = m.course.at(step);
  for (const Launch& launch : launches_)
    plan_->encode_launch(launch.steps, std::span(operands).subspan(launch.first, launch.count));
  Plan::ask_whether_to_go_on(effort_);
}

}  // namespace funcnn
