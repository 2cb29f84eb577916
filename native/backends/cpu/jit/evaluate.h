// What a line means, in plain C++: the oracle that generated code and recorded functions are tested against.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "backends/cpu/jit/line.h"
#include "base/dtype.h"

namespace funcnn::cpu::jit {

// The bits of every node for one element; masks are 0 or 1, results those of what they write. `streams` holds what is
// read, widened to lanes.
void evaluate(const Line& line, std::span<const uint64_t> streams, uint64_t index, std::span<uint64_t> values);

// What a line holds of an element of memory, and back. Raises TypeError for complex numbers.
uint64_t to_lane(Dtype dtype, const std::byte* p);
void from_lane(Dtype dtype, uint64_t bits, std::byte* p);

}  // namespace funcnn::cpu::jit
