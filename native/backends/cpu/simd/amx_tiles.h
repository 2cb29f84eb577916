// The eight tiles of AMX and what is done with them: by the processor, or in C++ with the same results.
// Tiles are 16 rows of 64 bytes: words of C, pairs of bfloat16 along K of a row of A, pairs of 16 columns of B.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "backends/cpu/simd/fma.h"
#include "base/half.h"

namespace funcnn::cpu {
namespace {

#if defined(FUNCNN_AMX)
// The registers of this thread, from here to the end of its scope. Nothing else in the process finds them in use, and a
// thread without them is cheaper to interrupt.
class ProcessorTiles {
 public:
  ProcessorTiles() {
    struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config;
    static_assert(sizeof(config) == 64);
    asm volatile("ldtilecfg %0" ::"m"(config));
  }
  ~ProcessorTiles() { asm volatile("tilerelease"); }
  ProcessorTiles(const ProcessorTiles&) = delete;
  ProcessorTiles& operator=(const ProcessorTiles&) = delete;

  template <int tile>
  FUNCNN_INLINE void zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(tile));
  }
  // Rows `apart` bytes from each other.
  template <int tile>
  FUNCNN_INLINE void load(const void* from, int64_t apart = 64) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(apart), "i"(tile) : "memory");
  }
  template <int tile>
  FUNCNN_INLINE void store(void* to) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(int64_t(64)), "i"(tile) : "memory");
  }
  // Tile c += a b.
  template <int c, int a, int b>
  FUNCNN_INLINE void multiply() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(c), "i"(a), "i"(b));
  }
  // 16 sums, none of them subnormal, rounded.
  static FUNCNN_INLINE void round(const float* from, bfloat16_t* to) {
#if defined(__AVX512F__)
    const __m512 sums = _mm512_loadu_ps(from);
    __m256i rounded;
    asm("vcvtneps2bf16 %1, %0" : "=v"(rounded) : "v"(sums));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), rounded);
#else
    for (int i = 0; i < 16; ++i) to[i] = bfloat16_t(from[i]);
#endif
  }
};
#endif

class EmulatedTiles {
 public:
  template <int tile>
  void zero() {
    std::memset(tiles_[tile], 0, sizeof(tiles_[tile]));
  }
  template <int tile>
  void load(const void* from, int64_t apart = 64) {
    for (int i = 0; i < 16; ++i) std::memcpy(tiles_[tile][i], static_cast<const char*>(from) + i * apart, 64);
  }
  template <int tile>
  void store(void* to) const {
    std::memcpy(to, tiles_[tile], sizeof(tiles_[tile]));
  }
  // As the manual of the processor has it: products with even and with odd places along K are added up apart, each
  // rounded once, then both sums to each other and to C. Subnormal numbers are zeros, as operands and as results.
  template <int c, int a, int b>
  void multiply() {
    for (int i = 0; i < 16; ++i) {
      float even[16] = {}, odd[16] = {};
      for (int p = 0; p < 16; ++p) {
        const uint32_t left = tiles_[a][i][p];
        for (int j = 0; j < 16; ++j) {
          const uint32_t right = tiles_[b][p][j];
          even[j] = flush(std::fma(number(left << 16), number(right << 16), even[j]));
          odd[j] = flush(std::fma(number(left & 0xffff0000u), number(right & 0xffff0000u), odd[j]));
        }
      }
      for (int j = 0; j < 16; ++j) {
        const float sum = flush(number(tiles_[c][i][j]) + flush(even[j] + odd[j]));
        std::memcpy(&tiles_[c][i][j], &sum, sizeof(sum));
      }
    }
  }
  static void round(const float* from, bfloat16_t* to) {
    for (int i = 0; i < 16; ++i) to[i] = bfloat16_t(from[i]);
  }

 private:
  static float flush(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }
  static float number(uint32_t bits) { return flush(__builtin_bit_cast(float, bits)); }
  alignas(64) uint32_t tiles_[8][16][16];
};

}  // namespace
}  // namespace funcnn::cpu
