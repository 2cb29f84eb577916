// Products with quantised matrices where there is AMX.
#pragma once

#include <memory>
#include <span>

#include "backends/cpu/quantized.h"
#include "base/half.h"
#include "ops/quantized_dot.h"
#include "plan/backend.h"

namespace funcnn::cpu {

// Loops of one instruction set.
struct QuantPairs {
  size_t (*room)(int64_t depth);
  // A panel of the right operand as tiles take it: its columns are rows [first, first + width) of m, `depth` codes of
  // each from `from` on, which is a multiple of a step. Elements are rounded once.
  void (*panel)(QuantCode code, const QuantMatrix& m, int64_t first, int64_t width, int64_t from, int64_t depth,
                std::byte* room, bfloat16_t* out);
};

// Null where another kernel has to do it.
std::unique_ptr<Kernel> make_quantized_tiles(const QuantizedDot& op, std::span<const Layout> inputs);

}  // namespace funcnn::cpu
