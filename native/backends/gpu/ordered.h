// Numbers ordered by a key on the device, for kernels that let one thread own all that goes to one place.
#pragma once

#include <vector>

#include "backends/gpu/kernel.h"

namespace funcnn::gpu {

// Stages that sort `count` distinct u64 words, which lie in the scratch memory from byte `at` on; as many bytes behind
// them are used on the way. The result lies at the returned byte of the two.
int64_t add_ordering(Machine& machine, std::vector<Stage>& stages, int scratch, int64_t at, int64_t count);

}  // namespace funcnn::gpu
