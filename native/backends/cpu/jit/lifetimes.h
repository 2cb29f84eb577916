// The values of a body of code: the order in which they are made, how often they are still read, and where they lie.
#pragma once

#include <algorithm>
#include <vector>

#include "backends/cpu/jit/loop.h"

namespace funcnn::cpu::jit {

class Lifetimes {
 public:
  // Of the nodes that `wanted` accepts by their numbers. Values that are read where they are needed are not made.
  template <class F>
  Lifetimes(const std::vector<Node>& nodes, F&& wanted)
      : reg_(nodes.size(), -1), slot_(nodes.size(), -1), uses_(nodes.size()), readers_(nodes.size()) {
    for (size_t v = 0; v < nodes.size(); ++v) {
      if (!wanted(v) || is_lazy(nodes[v].what)) continue;
      for (int a : {nodes[v].a, nodes[v].b, nodes[v].c})
        if (a >= 0) {
          ++uses_[size_t(a)];
          readers_[size_t(a)].push_back(int(order_.size()));
        }
      order_.push_back(int(v));
    }
  }

  const std::vector<int>& order() const { return order_; }
  // Where in the order a value is read.
  const std::vector<int>& readers(int v) const { return readers_[size_t(v)]; }
  // The register, or the place on the stack, that a value has; -1: none.
  int& reg(int v) { return reg_[size_t(v)]; }
  int reg(int v) const { return reg_[size_t(v)]; }
  int slot(int v) const { return slot_[size_t(v)]; }
  // How often a value is still read.
  int uses(int v) const { return uses_[size_t(v)]; }

  // The operation at that place of the order begins: what it has pinned keeps its register until it ends.
  void begin(int position) { at_ = position; }
  void pin(int v) { pinned_.push_back(v); }
  void end() {
    pinned_.clear();
    free_slots_.insert(free_slots_.end(), left_slots_.begin(), left_slots_.end());
    left_slots_.clear();
  }

  // One use less; whether it was the last. The place on the stack is free when the operation has read it.
  bool read(int v) {
    if (--uses_[size_t(v)] > 0) return false;
    if (slot_[size_t(v)] >= 0) left_slots_.push_back(slot_[size_t(v)]);
    slot_[size_t(v)] = -1;
    return true;
  }

  // Among the values in registers that `may` accepts, the one that is read last has to make room.
  template <class F>
  int victim(F&& may) const {
    int victim = -1, furthest = -1;
    for (size_t v = 0; v < reg_.size(); ++v) {
      if (reg_[v] < 0 || !may(int(v)) || std::find(pinned_.begin(), pinned_.end(), int(v)) != pinned_.end()) continue;
      const auto next = std::lower_bound(readers_[v].begin(), readers_[v].end(), at_);
      const int when = next == readers_[v].end() ? int(order_.size()) : *next;
      if (when > furthest) furthest = when, victim = int(v);
    }
    if (victim < 0) throw Refused{"too few registers"};
    return victim;
  }
  // Gives a value a place on the stack; false where it has one, which holds it.
  bool take_slot(int v) {
    if (slot_[size_t(v)] >= 0) return false;
    if (free_slots_.empty()) free_slots_.push_back(slots_++);
    slot_[size_t(v)] = free_slots_.back();
    free_slots_.pop_back();
    return true;
  }
  // So many places there are.
  int slots() const { return slots_; }

 private:
  std::vector<int> order_;
  std::vector<int> reg_, slot_, uses_;     // by node
  std::vector<std::vector<int>> readers_;  // by node
  std::vector<int> pinned_, free_slots_, left_slots_;
  int at_ = 0, slots_ = 0;
};

}  // namespace funcnn::cpu::jit
