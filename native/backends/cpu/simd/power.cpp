#include "backends/cpu/simd/power.h"

#include "backends/cpu/simd/loops.h"

namespace funcnn::cpu::simd {
namespace FUNCNN_ISA {

void add_power(Table& t) { add_binary_one<RealPower, float>(t, Opcode::power); }

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
