// The instruction sets this binary carries code for, what the machine has, and the tables in use.
#pragma once

#include "backends/cpu/simd/table.h"

namespace funcnn::cpu {

enum class InstructionLevel { baseline, avx2, avx512 };  // the baseline of ARM is NEON

// The best that this machine has: AVX2 with FMA, AVX-512 with BW, VL and DQ.
InstructionLevel machine_level();
// Of the tables in use: the same unless a test chose others.
InstructionLevel active_level();

const simd::Table& active_table();

// That of the tables in use.
template <class T>
const T& of_active_level(const T& baseline, const T& avx2, const T& avx512) {
  switch (active_level()) {
    case InstructionLevel::avx512:
      return avx512;
    case InstructionLevel::avx2:
      return avx2;
    case InstructionLevel::baseline:
      break;
  }
  return baseline;
}
// What backends/cpu/simd defines under a name for each instruction set: its declaration, and the one of the set in use.
#if defined(FUNCNN_X86)
#define FUNCNN_DECLARE_FOR_SETS(Type, name) extern const Type name##_baseline, name##_avx2, name##_avx512
#define FUNCNN_OF_ACTIVE_SET(name) of_active_level(name##_baseline, name##_avx2, name##_avx512)
#else
#define FUNCNN_DECLARE_FOR_SETS(Type, name) extern const Type name##_baseline
#define FUNCNN_OF_ACTIVE_SET(name) name##_baseline
#endif

}  // namespace funcnn::cpu
