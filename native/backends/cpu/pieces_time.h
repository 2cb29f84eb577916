// A model of how long threads take for pieces of equal work, by which kernels choose how to cut.
#pragma once

#include <algorithm>
#include <cstdint>

namespace funcnn::cpu {

// In multiply-adds of one thread, of which there are about a hundred in a nanosecond. `piece`: the work of one.
inline double pieces_time(int64_t pieces, double piece, int64_t threads) {
  constexpr double kBegin = 3e4;    // to begin a piece
  constexpr double kHandOff = 3e5;  // to share work out at all,
  constexpr double kThread = 4e4;   // and for each thread that takes part
  constexpr double kHeldUp = 0.25;  // the part of a piece that others wait for a thread that was held up
  const int64_t rounds = (pieces + threads - 1) / threads;
  double time = double(rounds) * (piece + kBegin);
  if (pieces > 1 && threads > 1) time += kHeldUp * piece + kHandOff + kThread * double(std::min(pieces, threads));
  return time;
}

}  // namespace funcnn::cpu
