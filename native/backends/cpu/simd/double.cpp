#include "backends/cpu/simd/double.h"

#include "backends/cpu/simd/loops.h"
#include "backends/cpu/simd/rare.h"

namespace funcnn::cpu::simd {
namespace FUNCNN_ISA {

void add_double(Table& t) {
  add_rare<ExpLong>(t, Opcode::exp);
  add_unary_one<Expm1Long, double>(t, Opcode::expm1);
  add_rare<SigmoidLong>(t, Opcode::sigmoid);
  add_unary_one<TanhLong, double>(t, Opcode::tanh);
  add_unary_one<LogLong, double>(t, Opcode::log);
  add_unary_one<Log1pLong, double>(t, Opcode::log1p);
  add_binary_one<LogaddexpLong, double>(t, Opcode::logaddexp);
  add_unary_one<ErfLong, double>(t, Opcode::erf);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
