// The hash behind random bits.
#pragma once

#include <cstdint>

namespace funcnn::cpu {

// a[i], b[i] = threefry2x32((key0, key1), (first + i, second + i)) for i < count.
using Threefry = void (*)(uint32_t key0, uint32_t key1, uint32_t first, uint32_t second, int64_t count, uint32_t* a,
                          uint32_t* b);
// The fastest for this machine.
Threefry threefry();

}  // namespace funcnn::cpu
