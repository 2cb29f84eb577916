// What every kernel can say, in either language. The names:
//   DEVICE               qualifies pointers to device memory: DEVICE const f32* x
//   SHARED               declares memory of the group, at the top of a kernel: SHARED f32 tile[32][33];
//   SHARED_POINTER       qualifies pointers to it: SHARED_POINTER f32* row
//   FUNCTION             before functions of the device; CONSTANT before tables of the file
//   UNROLL               before a loop
//   BARRIER()            all threads of the group, which then see each other's SHARED and DEVICE memory
//   WARP_BARRIER()       the 32 lanes
//   load(x), element(x)  an element as registers hold it: f16 and bf16 become f32; element keeps the sign of NaN, too
//   store(y, i, v)       y[i] = v, rounded to nearest even where y is of f16 or bf16; y in device or shared memory
//   rounded_f16(f32), rounded_bf16(f32)  as that precision holds it; of f64, rounded once
//   to_float(f16 or bf16), from_float<T>(f32); T(v) as well, which keeps the sign of NaN
//   load_pack<N>(x)      N elements from an address that is a multiple of their size together (a power of two, at most
//                        16 bytes: one transaction), as Pack<T, N> with its elements in .v[]; store_pack(y, pack)
//   element_of(pack, e)  element(pack.v[e]); narrowed<T>(pack)  a pack of f32 as one of f16 or bf16
//   again(pack)          the same, but the compiler computes again what it might have kept from before
//   bits<T>(x)           the same bits, read as another type of that size
//   plus, minus, times   of integers modulo 2^n, of bools "or", "not equal", "and"; is_nan(x)
//   larger, smaller      the first NaN wins, as it does in maximum and minimum; zeros of both signs are equal
//   largest, smallest    of f32: the same for reductions, where nobody minds which of two zeros or NaN is taken
//   warp_shuffle(x, lane), warp_shuffle_up(x, by), warp_shuffle_down(x, by), warp_shuffle_xor(x, mask): of every type
//                        but half precision; what comes from beyond the ends of a warp is unspecified
//   warp_sum, warp_product, warp_max, warp_min(x): all lanes get the result. Of every type but half precision
//   warp_any, warp_all(bool), warp_ballot(bool) -> u32
//   INFINITY, NAN
// All lanes of a warp take part in what begins with warp_.
// Types: bool u8 i8 u16 i16 u32 i32 u64 i64 f16 bf16 f32 f64 (CUDA alone) c64 {re, im}. Arithmetic is IEEE's: no
// product is joined with a sum unless fma(a, b, c) says so, in either language (NVRTC needs --fmad=false), so the same
// expression gives the same bits in every kernel. A GPU of Apple's may take subnormal numbers for zero.
#pragma once

#include <cstdint>
#include <string_view>

#include "backends/gpu/machine.h"

namespace funcnn::gpu {

// Parts that a kernel asks for, in the order in which they come.
enum class Section : uint8_t {
  base,     // the names above
  math,     // functions of scalar.h: of these only what the text of the kernel names
  complex,  // c64: + - * / == != and unary -, conj(z), scaled(z, f32); plus, times, larger, smaller
  // threefry(key0, key1, count0, count1) -> uint2: two random words
  threefry,
  // atomic_add, atomic_max, atomic_min, atomic_and, atomic_or, atomic_xor, atomic_exchange(pointer, value) -> what was
  // there, of u32 and i32 in device and shared memory, and atomic_swap_if(pointer, expected, value) -> bool. Not of
  // floats: the order of their sums would be up to chance.
  atomics,
  // Pieces of matrices that a warp multiplies: see prelude_fragments.cpp.
  fragments,
};
inline constexpr int kSectionCount = 6;

std::string_view prelude_text(Language language, Section section);

}  // namespace funcnn::gpu
