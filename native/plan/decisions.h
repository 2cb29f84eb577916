// Fusion decisions by what they depend on: the structure of a graph and how its sizes relate, not the sizes themselves.
// Used under the evaluation lock.
#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "plan/fuse.h"

namespace funcnn {

// Everything that `fuse` looks at. Graphs with equal keys are fused alike, but for comparisons of sizes that are made
// on the way (`Partition::comparisons`).
class Outline {
 public:
  explicit Outline(const Ir& ir);

  Hash key;
  // The distinct numbers of elements, rows and columns, in the order in which they appear.
  std::vector<int64_t> sizes;

  // The place of a number among the sizes; -1: it is not there.
  int place(int64_t size) const;

 private:
  class Walk;
  int& slot(int64_t size);
  std::vector<int> table_;  // places by hash, -1: free
};

class DecisionCache {
 public:
  // Fuse `ir` as a graph of the same outline was; false: there was none, or a comparison comes out otherwise now.
  bool apply(const Outline& outline, Ir& ir, Partition& partition);
  void keep(const Outline& outline, Partition partition);
  void clear();

  size_t entries() const { return entries_.size(); }
  size_t bytes() const { return bytes_; }
  uint64_t reused() const { return reused_; }
  size_t byte_capacity() const { return byte_capacity_; }

 private:
  struct Entry {
    // The numbers of its units and comparisons are places among the sizes.
    Partition partition;
    size_t bytes = 0;
    std::list<Hash>::iterator place;
  };
  void drop_oldest();

  std::unordered_map<Hash, Entry, HashOfHash> entries_;
  std::list<Hash> recent_;
  size_t bytes_ = 0, byte_capacity_ = size_t(16) << 20;
  uint64_t reused_ = 0;
};

DecisionCache& decision_cache();

}  // namespace funcnn
