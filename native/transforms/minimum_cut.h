// The cheapest way to cut a network in two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace funcnn {

class MinimumCut {
 public:
  static constexpr int64_t kUnbounded = std::numeric_limits<int64_t>::max() / 4;

  MinimumCut(int nodes, int source, int sink) : first_(size_t(nodes), -1), source_(source), sink_(sink) {}
  void add(int from, int to, int64_t capacity);
  // For each node, whether it lies on the side of the sink. Of several cheapest cuts, the one nearest to the sink.
  // There has to be one of bounded cost.
  std::vector<char> sides();

 private:
  struct Edge {
    int from, to;
    int64_t left;  // of its capacity
    int next;      // of those from the same node
  };
  bool find_levels();
  void saturate_levels();

  // Edge e and its reverse, e ^ 1.
  std::vector<Edge> edges_;
  std::vector<int> first_, level_;
  int source_, sink_;
};

}  // namespace funcnn
