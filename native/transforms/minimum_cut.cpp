// E. A. Dinic, "Algorithm for solution of a problem of maximum flow in a network with power estimation", 1970.
#include "transforms/minimum_cut.h"

#include <algorithm>
#include <utility>

namespace funcnn {

void MinimumCut::add(int from, int to, int64_t capacity) {
  for (Edge edge : {Edge{from, to, capacity, 0}, Edge{to, from, 0, 0}}) {
    int& first = first_[size_t(edge.from)];
    edge.next = std::exchange(first, int(edges_.size()));
    edges_.push_back(edge);
  }
}

// How many edges with capacity left lead from the source to each node.
bool MinimumCut::find_levels() {
  level_.assign(first_.size(), -1);
  level_[size_t(source_)] = 0;
  std::vector<int> queue{source_};
  for (size_t i = 0; i < queue.size(); ++i)
    for (int e = first_[size_t(queue[i])]; e >= 0; e = edges_[size_t(e)].next) {
      const Edge& edge = edges_[size_t(e)];
      if (edge.left == 0 || level_[size_t(edge.to)] >= 0) continue;
      level_[size_t(edge.to)] = level_[size_t(edge.from)] + 1;
      queue.push_back(edge.to);
    }
  return level_[size_t(sink_)] >= 0;
}

// Flow along paths that climb the levels, until none is left. Without recursion: graphs may be deep.
void MinimumCut::saturate_levels() {
  std::vector<int> next = first_, path;
  int at = source_;
  for (;;) {
    if (at == sink_) {
      int64_t flow = kUnbounded;
      for (int e : path) flow = std::min(flow, edges_[size_t(e)].left);
      size_t full = path.size();
      for (size_t i = path.size(); i-- > 0;) {
        edges_[size_t(path[i])].left -= flow;
        edges_[size_t(path[i] ^ 1)].left += flow;
        if (edges_[size_t(path[i])].left == 0) full = i;
      }
      if (full == path.size()) return;  // a path without bound: there is no cut
      at = edges_[size_t(path[full])].from;
      path.resize(full);
      continue;
    }
    int& e = next[size_t(at)];
    while (e >= 0 && (edges_[size_t(e)].left == 0 || level_[size_t(edges_[size_t(e)].to)] != level_[size_t(at)] + 1))
      e = edges_[size_t(e)].next;
    if (e >= 0) {
      path.push_back(e);
      at = edges_[size_t(e)].to;
    } else if (at == source_) {
      return;
    } else {
      level_[size_t(at)] = -1;
      at = edges_[size_t(path.back())].from;
      path.pop_back();
    }
  }
}

std::vector<char> MinimumCut::sides() {
  while (find_levels()) saturate_levels();
  std::vector<char> after(first_.size(), 0);
  after[size_t(sink_)] = 1;
  std::vector<int> queue{sink_};
  for (size_t i = 0; i < queue.size(); ++i)
    for (int e = first_[size_t(queue[i])]; e >= 0; e = edges_[size_t(e)].next) {
      // The reverse of e leads from edge.to to here.
      int from = edges_[size_t(e)].to;
      if (edges_[size_t(e ^ 1)].left == 0 || after[size_t(from)]) continue;
      after[size_t(from)] = 1;
      queue.push_back(from);
    }
  return after;
}

}  // namespace funcnn
