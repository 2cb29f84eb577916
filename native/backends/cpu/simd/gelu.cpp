#include "backends/cpu/simd/gelu.h"

#include "backends/cpu/simd/rare.h"

namespace funcnn::cpu::simd {
namespace FUNCNN_ISA {

void add_gelu(Table& t) {
  add_rare<Gelu>(t, Opcode::gelu);
  add_rare<GeluDerivative>(t, Opcode::gelu_derivative);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
