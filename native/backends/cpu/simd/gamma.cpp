#include "backends/cpu/simd/gamma.h"

#include "backends/cpu/simd/rare.h"

namespace funcnn::cpu::simd {
namespace FUNCNN_ISA {

void add_gamma(Table& t) {
  add_rare<Lgamma>(t, Opcode::lgamma);
  add_rare<Digamma>(t, Opcode::digamma);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
