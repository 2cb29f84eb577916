#include "backends/cpu/simd/exponential.h"

#include "backends/cpu/simd/loops.h"
#include "backends/cpu/simd/rare.h"

namespace funcnn::cpu::simd {
namespace FUNCNN_ISA {

void add_exponential(Table& t) {
  add_rare<Exp>(t, Opcode::exp);
  add_rare_difference<Exp>(t, kExpOfDifference);
  add_rare<Exp2>(t, Opcode::exp2);
  add_unary_one<Expm1, float>(t, Opcode::expm1);
  add_rare<Log>(t, Opcode::log);
  add_rare<Log1p>(t, Opcode::log1p);
  add_rare<Log2>(t, Opcode::log2);
  add_rare<Log10>(t, Opcode::log10);
  add_rare<Sigmoid>(t, Opcode::sigmoid);
  add_unary_one<Tanh, float>(t, Opcode::tanh);
  add_rare<Sinh>(t, Opcode::sinh);
  add_rare<Cosh>(t, Opcode::cosh);
  add_unary_one<Arcsinh, float>(t, Opcode::arcsinh);
  add_unary_one<Arccosh, float>(t, Opcode::arccosh);
  add_unary_one<Arctanh, float>(t, Opcode::arctanh);
  add_binary_one<Logaddexp, float>(t, Opcode::logaddexp);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
