#include "backends/cpu/simd/double.h"

#include "backends/cpu/simd/double_hyperbolic.h"
#include "backends/cpu/simd/double_inverse.h"
#include "backends/cpu/simd/double_normal.h"
#include "backends/cpu/simd/double_power.h"
#include "backends/cpu/simd/loops.h"
#include "backends/cpu/simd/rare.h"

namespace funcnn::cpu::simd {
namespace FUNCNN_ISA {

void add_double(Table& t) {
  add_rare<ExpLong, double>(t, Opcode::exp);
  add_unary_one<Expm1Long, double>(t, Opcode::expm1);
  add_rare<SigmoidLong, double>(t, Opcode::sigmoid);
  add_unary_one<TanhLong, double>(t, Opcode::tanh);
  add_unary_one<LogLong, double>(t, Opcode::log);
  add_unary_one<Log1pLong, double>(t, Opcode::log1p);
  add_binary_one<LogaddexpLong, double>(t, Opcode::logaddexp);
  add_unary_one<ErfLong, double>(t, Opcode::erf);
  add_rare<Exp2Long, double>(t, Opcode::exp2);
  add_unary_one<Log2Long, double>(t, Opcode::log2);
  add_unary_one<Log10Long, double>(t, Opcode::log10);
  add_unary_one<SinhLong, double>(t, Opcode::sinh);
  add_unary_one<CoshLong, double>(t, Opcode::cosh);
  add_unary_one<ArcsinhLong, double>(t, Opcode::arcsinh);
  add_unary_one<ArccoshLong, double>(t, Opcode::arccosh);
  add_unary_one<ArctanhLong, double>(t, Opcode::arctanh);
  add_unary_one<ArcsinLong, double>(t, Opcode::arcsin);
  add_unary_one<ArccosLong, double>(t, Opcode::arccos);
  add_unary_one<ArctanLong, double>(t, Opcode::arctan);
  add_binary_one<Arctan2Long, double>(t, Opcode::arctan2);
  add_rare<ErfcLong, double>(t, Opcode::erfc);
  add_rare<ErfinvLong, double>(t, Opcode::erfinv);
  add_rare<GeluLong, double>(t, Opcode::gelu);
  add_rare<GeluDerivativeLong, double>(t, Opcode::gelu_derivative);
  add_binary_one<ExpProductLong, double>(t, Opcode::exp_product);
  add_binary_one<PowerLong, double>(t, Opcode::power);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
