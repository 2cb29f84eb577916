// A loop of nothing but fused products and sums, compiled for each instruction set.
#pragma once

#include <cstdint>

namespace funcnn::cpu {

struct PeakTable {
  // So many rounds; returns how many float32 operations that were. `sink` keeps the compiler from leaving them out.
  double (*run)(int64_t rounds, float* sink);
};

}  // namespace funcnn::cpu
