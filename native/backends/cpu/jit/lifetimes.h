// The values of a body of code: the order in which they are made, how often they are still read, and where they lie.
#pragma once

#include <algorithm>
#include <queue>
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
        reg_before_(nodes.size(), -1),
        slot_before_(nodes.size(), -1),
        noted_(nodes.size()),
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
    for (int v : placed_) {
      reg_before_[size_t(v)] = reg_[size_t(v)];
      slot_before_[size_t(v)] = slot_[size_t(v)];
    }
  }
  template <class F>
  void leave(F&& fetch) {
    free_slots_.clear();
    for (int s = slots_; s-- > 0;) free_slots_.push_back(s);
    for (int placed : placed_) {
      const auto v = size_t(placed);
      const bool read = uses_[v] > 0 || placed == held_;
      if (read && reg_before_[v] >= 0 && reg_[v] != reg_before_[v]) fetch(placed, slot_[v], reg_before_[v]);
      reg_[v] = read ? reg_before_[v] : -1;
      slot_[v] = read ? slot_before_[v] : -1;
      if (slot_[v] >= 0) std::erase(free_slots_, slot_[v]);
      reg_before_[v] = slot_before_[v] = -1;
    }
    held_ = -1;
  }
  // The node whose branch has begun, or -1.
  int held() const { return held_; }
  bool holds(int reg) const {
    return std::any_of(placed_.begin(), placed_.end(), [&](int v) { return reg_[size_t(v)] == reg; });
  }
  // All values that have a register or a place on the stack, among others: few, however long the line is.
  const std::vector<int>& placed() const { return placed_; }
  // Where in the order a value is read.
  const std::vector<int>& readers(int v) const { return readers_[size_t(v)]; }
  // The register, or the place on the stack, that a value has; -1: none.
  int& reg(int v) {
    if (!noted_[size_t(v)]) noted_[size_t(v)] = 1, placed_.push_back(v);
    return reg_[size_t(v)];
  }
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
    if (held_ < 0 && placed_.size() > most_placed_) forget_places();
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
    for (int value : placed_) {
      const auto v = size_t(value);
      if (reg_[v] < 0 || value == held_ || !may(value)) continue;
      if (std::find(pinned_.begin(), pinned_.end(), value) != pinned_.end()) continue;
      const auto next = std::lower_bound(readers_[v].begin(), readers_[v].end(), at_);
      const int when = next == readers_[v].end() ? int(order_.size()) : *next;
      if (when > furthest) furthest = when, victim = value;
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
  void forget_places() {
    std::erase_if(placed_, [&](int value) {
      const auto v = size_t(value);
      if (reg_[v] >= 0 || slot_[v] >= 0) return false;
      noted_[v] = 0;
      return true;
    });
    most_placed_ = 2 * placed_.size() + 64;
  }

  template <class K>
  void put_branches_together(const std::vector<Node>& nodes, K&& kept) {
    std::vector<std::vector<int>> readers(nodes.size());
    std::vector<int> place(nodes.size(), -1);    // in the order
    std::vector<int> stored(order_.size(), -1);  // by place: where the last `leave` before it is
    bool any = false;
    for (size_t i = 0; i < order_.size(); ++i) {
      const Node& n = nodes[size_t(order_[i])];
      place[size_t(order_[i])] = int(i);
      if (i > 0) stored[i] = nodes[size_t(order_[i - 1])].what == Do::leave ? int(i) - 1 : stored[i - 1];
      any = any || n.what == Do::seldom;
      for (int a : {n.a, n.b, n.c})
        if (a >= 0) readers[size_t(a)].push_back(order_[i]);
    }
    if (!any) return;
    for (size_t i = order_.size(); i-- > 0;) {
      const int v = order_[i];
      const Node& choice = nodes[size_t(v)];
      if (choice.what != Do::seldom || branch_[size_t(v)] >= 0) continue;
      // From the last to the first, so that of a value's readers it is known whether they are inside; what comes
      // before a `leave` stays, since what has been stored since may be what the node reads.
      std::priority_queue<int> places;
      auto reads = [&](int a) {
        if (a >= 0 && place[size_t(a)] > stored[i]) places.push(place[size_t(a)]);
      };
      reads(choice.b);
      while (!places.empty()) {
        const int n = order_[size_t(places.top())];
        while (!places.empty() && places.top() == place[size_t(n)]) places.pop();
        const Node& made = nodes[size_t(n)];
        const Do what = made.what;
        if (is_result(what) || what == Do::load || what == Do::mask_of_load || what == Do::index || kept(size_t(n)))
          continue;
        const std::vector<int>& by = readers[size_t(n)];
        const bool inside = std::all_of(by.begin(), by.end(), [&](int reader) {
          return branch_[size_t(reader)] == v || (reader == v && n != choice.a && n != choice.c);
        });
        if (!inside || branch_[size_t(n)] >= 0) continue;
        branch_[size_t(n)] = v;
        for (int a : {made.a, made.b, made.c}) reads(a);
      }
    }
    std::vector<std::vector<int>> inside(nodes.size());
    for (int n : order_)
      if (const int v = branch_[size_t(n)]; v >= 0) inside[size_t(v)].push_back(n);
    std::vector<int> order;
    for (int v : order_) {
      if (branch_[size_t(v)] >= 0) continue;
      const std::vector<int>& first = inside[size_t(v)];
      order.insert(order.end(), first.begin(), first.end());
      order.push_back(v);
    }
    order_ = std::move(order);
  }

  std::vector<int> order_;
  std::vector<int> reg_, slot_, uses_;         // by node
  std::vector<int> branch_;                    // by node: the `seldom` in whose branch it is, or -1
  std::vector<int> reg_before_, slot_before_;  // when the branch began
  std::vector<char> noted_;                    // by node: whether it is among those that have a place
  std::vector<int> placed_;
  size_t most_placed_ = 64;
  std::vector<std::vector<int>> readers_;  // by node
  std::vector<int> pinned_, free_slots_, left_slots_;
  int at_ = 0, slots_ = 0, held_ = -1;
};

}  // namespace funcnn::cpu::jit
