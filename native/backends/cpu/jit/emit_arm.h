// A loop in machine code of AArch64 with NEON.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backends/cpu/jit/loop.h"

namespace funcnn::cpu::jit {

inline constexpr int kArmVectorBytes = 16;

// Code and constants of a function `Generated`, to be put at a multiple of 16 bytes; empty, and `why`, where the loop
// holds what this generator does not know. Whole vectors of the frame are of 16 bytes; what is left of a row is
// computed element by element, so its masks are not read.
std::vector<uint8_t> emit_arm(const Loop& loop, std::string* why);

}  // namespace funcnn::cpu::jit
