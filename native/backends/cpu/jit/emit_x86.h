// A loop in machine code of x86-64.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backends/cpu/jit/loop.h"
#include "backends/cpu/jit/x86_assembler.h"

namespace funcnn::cpu::jit {

// Code and constants of a function `Generated`, to be put at a multiple of 64 bytes; empty, and `why`, where the loop
// holds what this generator does not know. `wide`: for AVX-512, else for AVX2 with FMA.
std::vector<uint8_t> emit_x86(const Loop& loop, bool wide, std::string* why,
                              const x86::Convention& convention = x86::Convention::host());

// With AVX2 a tail cannot be read from narrower memory.
bool whole_vectors_only(const Loop& loop, bool wide);

}  // namespace funcnn::cpu::jit
