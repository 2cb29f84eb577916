// The machine that code is made for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backends/cpu/instruction_set.h"
#include "backends/cpu/jit/loop.h"

namespace funcnn::cpu::jit {

struct Target {
  int vector_bytes;
  bool halves;     // its generator knows nodes that are `eight`
  bool indices;    // and Do::index
  bool tables;     // and streams that are anywhere
  bool straight;   // and loops that are that
  int most_folds;  // reductions of a stage
  // Code of a function `Generated`; empty, and why, where the loop holds what the generator does not know.
  std::vector<uint8_t> (*emit)(const Loop& loop, std::string* why);
  // Whether rows have to be whole vectors; else the code goes over their rest as well.
  bool (*whole_vectors_only)(const Loop& loop);
};

// Null where there is no generator.
const Target* target_of(InstructionLevel level);

}  // namespace funcnn::cpu::jit
