// How long something takes on a machine that others use too.
#pragma once

#include <algorithm>
#include <chrono>
#include <limits>

namespace funcnn {

// The least seconds of some turns: what others do on the machine is no property of it.
template <class F>
double least_seconds(int turns, F&& f) {
  double least = std::numeric_limits<double>::infinity();
  for (int turn = 0; turn < turns; ++turn) {
    const auto start = std::chrono::steady_clock::now();
    f();
    least = std::min(least, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return least;
}

}  // namespace funcnn
