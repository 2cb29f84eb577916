#include "backends/cpu/simd/gelu.h"

#include "backends/cpu/simd/loops.h"

namespace funcnn::cpu::simd {
namespace FUNCNN_ISA {

void add_gelu(Table& t) {
  add_unary_one<Gelu, float>(t, Opcode::gelu);
  add_unary_one<GeluDerivative, float>(t, Opcode::gelu_derivative);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
