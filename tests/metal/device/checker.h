// Finds races, accesses out of bounds and reads of memory that nothing wrote, from every access of a kernel: with
// SOFTWARE_METAL_CHECK kernels are compiled so that each access tells of itself (hooks.cpp).
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "dispatch.h"
#include "shadow.h"

namespace software_metal {

class GroupRunner;
struct SharedVariable;

enum class Action : uint8_t { read, write, atomic, atomic_store };
inline bool is_atomic(Action action) { return action >= Action::atomic; }
inline bool reads(Action action) { return action == Action::read || action == Action::atomic; }

class Checker {
 public:
  static Checker& instance();

  // What runs from here on does so at the same time, as far as anybody can know, and after all before; with resources,
  // after what touched those. Holds the checker until it goes: it serves one queue at a time.
  class Interval {
   public:
    explicit Interval(const std::vector<unsigned>& resources);

   private:
    std::unique_lock<std::mutex> lock_;
  };
  // Within an interval.
  void begin_dispatch(const Dispatch& dispatch);
  // At the begin of every threadgroup.
  void begin_group(GroupRunner& runner);

  void wrote(unsigned resource, size_t offset, size_t size);  // a copy did
  void forget(unsigned resource);

  // A kernel's. Returns if all is well.
  void access(GroupRunner& runner, const void* address, size_t size, Action action);

 private:
  // A dispatch of the interval, whose threads are actors from `first` on.
  struct Known {
    uint32_t first, threads_per_group;
    std::string kernel;
    Extent groups, size;
  };
  // What is touched: memory of the threadgroup, bound under a number, or resident (kBindings).
  struct Target {
    const SharedVariable* variable;
    const Bound* bound;
    unsigned index;
    size_t offset, size;
  };

  Target find_shared(GroupRunner& runner, size_t offset, size_t size, Action action);
  bool find_bound(GroupRunner& runner, const unsigned char* at, size_t size, Action action, Target& target);
  void visit(GroupRunner& runner, Cell& cell, const Target& target, Action action);
  bool ordered(const Visit& before) const;
  bool near(const Visit& a, const Visit& b) const;
  void remember(Visit (&visits)[2]) const;
  bool in_group(const Visit& visit) const { return visit.actor >= group_first_ && visit.actor <= group_last_; }
  std::string describe(const Target& target) const;
  std::string name(uint32_t actor) const;

  std::mutex mutex_;
  std::unordered_map<unsigned, Shadow> buffers_;  // by resource
  Shadow shared_;
  uint32_t stamps_ = 0, interval_ = 0, group_ = 0;
  std::vector<Known> known_;
  uint32_t next_actor_ = 1;
  uint32_t group_first_ = 0, group_last_ = 0;  // actors of the group that runs
  Visit me_;
};

}  // namespace software_metal
