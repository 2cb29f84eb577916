// The order of the steps of a plan. Steps run in the order in which their nodes were created, except that a step which
// frees more memory than it takes runs as soon as it can.
#pragma once

#include <vector>

#include "plan/fuse.h"

namespace funcnn {

// What scheduling needs to know of a unit.
struct Work {
  std::vector<int> reads;   // values read from memory
  std::vector<int> after;   // values that must be complete first, without being read
  std::vector<int> writes;  // values that receive memory
  uint64_t sequence = 0;
};

// Indices into `work`, in order. `bytes[v]`: the memory of value v that goes free after its last reader (0 for results
// and leaves that others hold); `cost[v]`: what storing it takes.
std::vector<int> schedule(const std::vector<Work>& work, const std::vector<size_t>& bytes,
                          const std::vector<size_t>& cost);

}  // namespace funcnn
