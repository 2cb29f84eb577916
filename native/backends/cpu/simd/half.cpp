#include "backends/cpu/simd/half.h"

#include "backends/cpu/simd/rare.h"

namespace funcnn::cpu::simd {
namespace FUNCNN_ISA {

void add_half(Table& t) {
  add_rare<HalfExp>(t, Opcode(kHalfExp));
  add_rare<HalfSigmoid>(t, Opcode(kHalfSigmoid));
  add_unary_one<HalfTanh, float>(t, Opcode(kHalfTanh));
  add_unary_one<HalfErf, float>(t, Opcode(kHalfErf));
  add_rare<HalfGelu>(t, Opcode(kHalfGelu));
  add_rare<HalfGeluDerivative>(t, Opcode(kHalfGeluDerivative));
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
