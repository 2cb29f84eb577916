// The values of a body of code: the order in which they are made, how often they are still read, and where they lie.
#pragma once

#include <algorithm>
#include <vector>

#include "backends/cpu/jit/loop.h"

namespace funcnn::cpu::jit {

class Lifetimes {
 public:
  // Of the nodes that `wanted` accepts by their numbers; others read what `kept` accepts. Values that are read where
  // they are needed are not made.
  template <class F, class K>
  Lifetimes(const std::vector<Node>& nodes, F&& wanted, K&& kept)
      : reg_(nodes.size(), -1),
        slot_(nodes.size(), -1),
        uses_(nodes.size()),
        branch_(nodes.size(), -1),
        readers_(nodes.size()) {
    for (size_t v = 0; v < nodes.size(); ++v)
      if (wanted(v) && !is_lazy(nodes[v].what)) order_.push_back(int(v));
    put_branches_together(nodes, kept);
    for (size_t i = 0; i < order_.size(); ++i) {
      const Node& n = nodes[size_t(order_[i])];
      for (int a : {n.a, n.b, n.c})
        if (a >= 0) {
          ++uses_[size_t(a)];
          readers_[size_t(a)].push_back(int(i));
        }
    }
  }

  const std::vector<int>& order() const { return order_; }
  // What only the first choice of a `seldom` reads stands right before it. The node whose branch begins at that place
  // of the order; -1: none.
  int branch_at(int position) const {
    const int branch = branch_[size_t(order_[size_t(position)])];
    return position > 0 && branch == branch_[size_t(order_[size_t(position) - 1])] ? -1 : branch;
  }
  // A branch begins, which may be jumped over, or ends where the jump goes to: `fetch` brings values back from the
  // stack into the registers that they had at the beginning. The value `held` keeps its register.
  void enter(int held) {
    held_ = held;
    reg_before_ = reg_;
    slot_before_ = slot_;
  }
  template <class F>
  void leave(F&& fetch) {
    free_slots_.clear();
    for (int s = slots_; s-- > 0;) free_slots_.push_back(s);
    for (size_t v = 0; v < reg_.size(); ++v) {
      const bool read = uses_[v] > 0 || int(v) == held_;
      if (read && reg_before_[v] >= 0 && reg_[v] != reg_before_[v]) fetch(int(v), slot_[v], reg_before_[v]);
      reg_[v] = read ? reg_before_[v] : -1;
      slot_[v] = read ? slot_before_[v] : -1;
      if (slot_[v] >= 0) std::erase(free_slots_, slot_[v]);
    }
    held_ = -1;
  }
  // The node whose branch has begun, or -1.
  int held() const { return held_; }
  bool holds(int reg) const { return std::find(reg_.begin(), reg_.end(), reg) != reg_.end(); }
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
      if (reg_[v] < 0 || int(v) == held_ || !may(int(v))) continue;
      if (std::find(pinned_.begin(), pinned_.end(), int(v)) != pinned_.end()) continue;
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
  template <class K>
  void put_branches_together(const std::vector<Node>& nodes, K&& kept) {
    std::vector<std::vector<int>> readers(nodes.size());
    bool any = false;
    for (int v : order_) {
      const Node& n = nodes[size_t(v)];
      any = any || n.what == Do::seldom;
      for (int a : {n.a, n.b, n.c})
        if (a >= 0) readers[size_t(a)].push_back(v);
    }
    if (!any) return;
    for (size_t i = order_.size(); i-- > 0;) {
      const int v = order_[i];
      const Node& choice = nodes[size_t(v)];
      if (choice.what != Do::seldom || branch_[size_t(v)] >= 0) continue;
      for (size_t k = i; k-- > 0;) {
        const int n = order_[k];
        const Do what = nodes[size_t(n)].what;
        if (what == Do::leave) break;  // what has been stored since may be what the node reads
        if (is_result(what) || what == Do::load || what == Do::mask_of_load || what == Do::index || kept(size_t(n)))
          continue;
        const std::vector<int>& by = readers[size_t(n)];
        const bool inside = std::all_of(by.begin(), by.end(), [&](int reader) {
          return branch_[size_t(reader)] == v || (reader == v && n != choice.a && n != choice.c);
        });
        if (inside && branch_[size_t(n)] < 0) branch_[size_t(n)] = v;
      }
    }
    std::vector<int> order;
    for (int v : order_) {
      if (branch_[size_t(v)] >= 0) continue;
      for (int n : order_)
        if (nodes[size_t(v)].what == Do::seldom && branch_[size_t(n)] == v) order.push_back(n);
      order.push_back(v);
    }
    order_ = std::move(order);
  }

  std::vector<int> order_;
  std::vector<int> reg_, slot_, uses_;  // by node
  std::vector<int> branch_;             // by node: the `seldom` in whose branch it is, or -1
  std::vector<int> reg_before_, slot_before_;
  std::vector<std::vector<int>> readers_;  // by node
  std::vector<int> pinned_, free_slots_, left_slots_;
  int at_ = 0, slots_ = 0, held_ = -1;
};

}  // namespace funcnn::cpu::jit
