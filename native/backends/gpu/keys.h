// Elements as unsigned numbers of the same order, for kernels that compare.
#pragma once

#include <string>

#include "base/dtype.h"

namespace funcnn::gpu {

// Whether keys of this dtype are u64; else u32.
bool has_long_key(Dtype dtype);

// key_of(x): an unsigned number, the larger the larger x (the smaller, if not `ascending`), and all ones for NaN. Zeros
// of both signs have one key.
std::string key_text(Dtype dtype, bool ascending = true);

// raw_key(word): the same order, of elements that are moved as bits: u64 words of those of 8 bytes, else u32. The key
// has as many bits as an element.
std::string raw_key_text(Dtype dtype);

}  // namespace funcnn::gpu
