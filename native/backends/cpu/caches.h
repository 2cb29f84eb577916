// The caches of the processor.
#pragma once

#include <cstdint>

namespace funcnn::cpu {

// Of the last level: what is larger does not stay in any.
int64_t last_cache_bytes();

// Results of this thread that went to memory past the caches are there for others before what follows.
void finish_past_caches();

}  // namespace funcnn::cpu
