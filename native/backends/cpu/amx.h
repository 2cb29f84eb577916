// AMX: registers of 16 x 64 bytes and an instruction that multiplies two of them. Linux keeps them from a process until
// it asks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "backends/cpu/gemm.h"

namespace funcnn::cpu {

// Products of bfloat16 by the instruction, by a function that does the same in C++ (tests), or as without AMX.
enum class AmxUse { off, on, emulated };

// "on" where the compiler, the processor and the system have it, unless FUNCNN_AMX is 0. The first call asks the
// system.
AmxUse amx_use();
const char* amx_use_name();
// Use something else (tests); raises ValueError naming what is possible.
void set_amx_use(const char* name);

// Blocks of a product by tiles: rows and columns of C and elements of K. Of K so many that 32 columns of B stay in a
// first-level cache while rows of A go by.
inline constexpr int64_t kAmxRows = 256, kAmxColumns = 512, kAmxDepth = 288;
// Both sides of a square of four tiles of C, and what a tile holds along K.
inline constexpr int64_t kAmxSide = 32, kAmxStep = 32;

// How much of K goes by at a time: blocks as even as they come. Depends on K alone.
inline int64_t amx_depth(int64_t k) {
  const int64_t blocks = (k + kAmxDepth - 1) / kAmxDepth;
  return ((k + blocks - 1) / blocks + kAmxStep - 1) / kAmxStep * kAmxStep;
}
// Where a panel of 32 columns, of `panels`, begins in a packed right operand: in the block of K that begins at k0.
inline int64_t amx_panel(int64_t panels, int64_t k, int64_t k0, int64_t panel) {
  const int64_t depth = (std::min(amx_depth(k), k - k0) + kAmxStep - 1) / kAmxStep * kAmxStep;
  return panels * kAmxSide * k0 + panel * kAmxSide * depth;
}

// How a large product is shared out to so many threads.
GemmShares amx_shares(int64_t m, int64_t n, int64_t k, int64_t threads);

// Bytes of scratch memory that a product by tiles needs.
size_t amx_room(int64_t m, int64_t n, int64_t k);

}  // namespace funcnn::cpu
