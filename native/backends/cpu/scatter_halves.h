// Half-precision updates that meet at one place: combined in float32 and rounded once, as on GPUs. Rounded after each,
// a sum of many small updates would stop growing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "backends/cpu/combine_rows.h"
#include "backends/cpu/simd/table.h"
#include "backends/cpu/strided.h"
#include "ops/gather.h"

namespace funcnn::cpu {

class HalfTotals {
 public:
  struct Update {
    uint64_t place;  // of the output, in elements
    int64_t source;
  };

  static bool needed(ScatterMode mode, Dtype dtype) {
    return is_half(dtype) && (mode == ScatterMode::add || mode == ScatterMode::multiply);
  }
  // `rest`: what one update covers, operand 0 the output and 1 the updates.
  HalfTotals(ScatterMode mode, Dtype dtype, const LoopNest& rest);

  // Combine updates, given in the order in which they count, with columns [begin, end) of the innermost axis.
  void combine(std::byte* out, const std::byte* values, std::vector<Update>& updates, int64_t begin, int64_t end) const;

 private:
  struct Run;
  void near_elements(std::byte* out, const std::byte* values, const std::vector<Update>& updates, uint64_t first,
                     uint64_t span) const;
  void block(const Run& run, int64_t out, int64_t in, size_t d) const;
  void line(const Run& run, int64_t out, int64_t in) const;
  void scattered_line(const Run& run, int64_t out, int64_t in, int64_t out_step, int64_t in_step) const;

  bool multiply_;
  Dtype dtype_;
  const LoopNest& rest_;
  simd::CastFn widen_, narrow_;
  CombineRowsFn combine_;
};

}  // namespace funcnn::cpu
