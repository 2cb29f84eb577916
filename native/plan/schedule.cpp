#include "plan/schedule.h"

#include <algorithm>
#include <queue>

#include "base/error.h"

namespace funcnn {

std::vector<int> schedule(const std::vector<Work>& work, const std::vector<size_t>& bytes,
                          const std::vector<size_t>& cost) {
  size_t n = work.size();
  std::vector<int> producer(bytes.size(), -1), readers_left(bytes.size(), 0), waits(n, 0);
  std::vector<std::vector<int>> readers(bytes.size()), followers(n);
  for (size_t u = 0; u < n; ++u)
    for (int v : work[u].writes) producer[size_t(v)] = int(u);
  for (size_t u = 0; u < n; ++u) {
    auto follow = [&](int v) {
      int p = producer[size_t(v)];
      if (p < 0 || p == int(u)) return;
      followers[size_t(p)].push_back(int(u));
      ++waits[u];
    };
    for (int v : work[u].reads) {
      readers[size_t(v)].push_back(int(u));
      ++readers_left[size_t(v)];
      follow(v);
    }
    for (int v : work[u].after) follow(v);
  }

  std::vector<char> done(n, 0), ready(n, 0), queued(n, 0);
  auto later = [&](int a, int b) {
    return work[size_t(a)].sequence != work[size_t(b)].sequence ? work[size_t(a)].sequence > work[size_t(b)].sequence
                                                                : a > b;
  };
  std::priority_queue<int, std::vector<int>, decltype(later)> normal(later), urgent(later);
  // What a unit frees when it runs next, and what it takes.
  std::vector<size_t> frees(n, 0), takes(n, 0);
  for (size_t u = 0; u < n; ++u) {
    for (int v : work[u].reads)
      if (readers_left[size_t(v)] == 1) frees[u] += bytes[size_t(v)];
    for (int v : work[u].writes) takes[u] += cost[size_t(v)];
  }
  auto hurry = [&](int u) {
    if (ready[size_t(u)] && !done[size_t(u)] && !queued[size_t(u)] && frees[size_t(u)] > takes[size_t(u)]) {
      queued[size_t(u)] = 1;
      urgent.push(u);
    }
  };
  auto make_ready = [&](int u) {
    ready[size_t(u)] = 1;
    normal.push(u);
    hurry(u);
  };
  for (size_t u = 0; u < n; ++u)
    if (waits[u] == 0) make_ready(int(u));

  std::vector<int> order;
  order.reserve(n);
  while (!urgent.empty() || !normal.empty()) {
    auto& queue = urgent.empty() ? normal : urgent;
    int u = queue.top();
    queue.pop();
    if (std::exchange(done[size_t(u)], 1)) continue;
    order.push_back(u);
    for (int v : work[size_t(u)].reads) {
      if (--readers_left[size_t(v)] != 1) continue;
      for (int r : readers[size_t(v)]) {
        if (done[size_t(r)]) continue;
        frees[size_t(r)] += bytes[size_t(v)];  // the last of them
        hurry(r);
      }
    }
    for (int f : followers[size_t(u)])
      if (--waits[size_t(f)] == 0) make_ready(f);
  }
  if (order.size() != n) throw Error("schedule: the units of a plan wait for each other");
  return order;
}

}  // namespace funcnn
