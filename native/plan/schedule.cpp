#include "plan/schedule.h"

#include <algorithm>
#include <queue>
#include <span>
#include <utility>

#include "base/error.h"

namespace funcnn {
namespace {

// Lists of numbers, one after another in one block: counted first, then filled.
class Lists {
 public:
  explicit Lists(size_t count) : ends_(count + 1, 0) {}
  void count(size_t list) { ++ends_[list]; }
  void start() {
    int total = 0;
    for (int& end : ends_) total += std::exchange(end, total);
    items_.resize(size_t(total));
  }
  void add(size_t list, int item) { items_[size_t(ends_[list]++)] = item; }
  std::span<const int> operator[](size_t list) const {
    int first = list ? ends_[list - 1] : 0;
    return {items_.data() + first, size_t(ends_[list] - first)};
  }

 private:
  std::vector<int> ends_;  // while lists are filled: where the next item goes
  std::vector<int> items_;
};

}  // namespace

std::vector<int> schedule(const std::vector<Work>& work, const std::vector<size_t>& bytes,
                          const std::vector<size_t>& cost) {
  size_t n = work.size();
  std::vector<int> producer(bytes.size(), -1), readers_left(bytes.size(), 0), waits(n, 0);
  Lists readers(bytes.size()), followers(n);
  for (size_t u = 0; u < n; ++u)
    for (int v : work[u].writes) producer[size_t(v)] = int(u);
  // f(u, v, whether u reads v)
  auto edges = [&](auto&& f) {
    for (size_t u = 0; u < n; ++u) {
      for (int v : work[u].reads) f(u, v, true);
      for (int v : work[u].after) f(u, v, false);
    }
  };
  auto follows = [&](size_t u, int v) { return producer[size_t(v)] >= 0 && producer[size_t(v)] != int(u); };
  edges([&](size_t u, int v, bool reads) {
    if (reads) readers.count(size_t(v));
    if (follows(u, v)) followers.count(size_t(producer[size_t(v)]));
  });
  readers.start();
  followers.start();
  edges([&](size_t u, int v, bool reads) {
    if (reads) {
      readers.add(size_t(v), int(u));
      ++readers_left[size_t(v)];
    }
    if (follows(u, v)) {
      followers.add(size_t(producer[size_t(v)]), int(u));
      ++waits[u];
    }
  });

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
