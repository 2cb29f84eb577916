// What every kernel can say, in either language. The names:
//   DEVICE               qualifies pointers to device memory: DEVICE const f32* x
//   SHARED               declares memory of the group, at the top of a kernel: SHARED f32 tile[32][33];
//   SHARED_POINTER       qualifies pointers to it: SHARED_POINTER f32* row
//   FUNCTION             before functions of the device; CONSTANT before tables of the file
//   BARRIER()            all threads of the group, which then see each other's SHARED and DEVICE memory
//   WARP_BARRIER()       the 32 lanes
//   warp_sum, warp_product, warp_max, warp_min(x); warp_shuffle(x, lane), warp_shuffle_up, warp_shuffle_down(x, by),
//   warp_shuffle_xor(x, mask); warp_any, warp_all(bool), warp_ballot(bool) -> u32: all lanes take part
//   load(x), store(y, i, v) conversions: to_float(f16 or bf16), from_float<T>(f32), bits<T>(x): reinterpreted
//   UNROLL               before a loop
// Types: bool u8 i8 u16 i16 u32 i32 u64 i64 f16 bf16 f32 f64 (CUDA alone) c64 {re, im}.
#pragma once

#include <cstdint>
#include <string_view>

#include "backends/gpu/machine.h"

namespace funcnn::gpu {

// Parts that a kernel asks for; `prelude_text` brings what they need themselves.
enum class Section : uint8_t {
  base,       // types, qualifiers, barriers, conversions, operations of a warp; always there
  math,       // what opcodes call (program_text.h)
  complex,    // arithmetic of c64
  threefry,   // random words
  atomics,    // atomic_add and so on, of integers: those of floats would make results depend on chance
  fragments,  // pieces of matrices that a warp multiplies
};
inline constexpr int kSectionCount = 6;

std::string_view prelude_text(Language language, Section section);

}  // namespace funcnn::gpu
