#include "backends/cpu/simd/trigonometric.h"

#include "backends/cpu/simd/inverse.h"
#include "backends/cpu/simd/loops.h"
#include "backends/cpu/simd/rare.h"

namespace funcnn::cpu::simd {
namespace FUNCNN_ISA {

void add_trigonometric(Table& t) {
  add_rare<Sin>(t, Opcode::sin);
  add_rare<Cos>(t, Opcode::cos);
  add_rare<Tan>(t, Opcode::tan);
  add_unary_one<Arcsin, float>(t, Opcode::arcsin);
  add_unary_one<Arccos, float>(t, Opcode::arccos);
  add_unary_one<Arctan, float>(t, Opcode::arctan);
  add_rare_binary<Arctan2>(t, Opcode::arctan2);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
