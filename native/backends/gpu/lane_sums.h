// Sums over the lanes of a warp, of several values at once.
#pragma once

#include <string>
#include <string_view>

namespace funcnn::gpu {

// Of an array of `count` values (a power of two) in registers of each lane.
struct LaneSums {
  std::string statements;
  int held;   // how many of the sums a lane has in the end
  int alike;  // how many neighbours have the same ones
};
// Of lanes whose numbers differ in nothing but the bits apart, 2 * apart, ..., lanes / 2 * apart. Lanes halve what they
// hold as long as it is several values: the lane with number n there has the sums n / alike * held and following.
LaneSums summed_over_lanes(std::string_view array, std::string_view type, int count, int lanes, int apart);

}  // namespace funcnn::gpu
