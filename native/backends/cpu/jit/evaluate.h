// What a line means, in plain C++: the oracle that generated code and recorded functions are tested against.
#pragma once

#include <cstdint>
#include <span>

#include "backends/cpu/jit/line.h"

namespace funcnn::cpu::jit {

// The bits of every node for one element; masks are 0 or 1, results those of what they write. `streams` holds what is
// read, widened to lanes.
void evaluate(const Line& line, std::span<const uint64_t> streams, uint64_t index, std::span<uint64_t> values);

}  // namespace funcnn::cpu::jit
