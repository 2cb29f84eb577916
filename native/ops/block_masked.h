// Products of matrices with blocks masked out.
#pragma once

#include "graph/array.h"

namespace funcnn {

// a @ b over blocks of block_size x block_size, with masks (null: none) for the blocks of the result, of a and of b.
// Masks broadcast. A boolean mask keeps a block or makes it zero, whatever is in it; another multiplies it.
Array block_masked_mm(const Array& a, const Array& b, int64_t block_size, const Array& mask_out, const Array& mask_lhs,
                      const Array& mask_rhs);

}  // namespace funcnn
