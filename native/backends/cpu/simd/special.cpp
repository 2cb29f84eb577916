#include "backends/cpu/simd/special.h"

#include "backends/cpu/simd/loops.h"
#include "backends/cpu/simd/rare.h"

namespace funcnn::cpu::simd {
namespace FUNCNN_ISA {

void add_special(Table& t) {
  add_unary_one<Erf, float>(t, Opcode::erf);
  add_unary_one<Erfc, float>(t, Opcode::erfc);
  add_rare<Erfinv>(t, Opcode::erfinv);
  add_binary_one<ExpProduct, float>(t, Opcode::exp_product);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
