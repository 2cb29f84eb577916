#include "backends/cpu/simd/power.h"

#include "backends/cpu/simd/rare.h"

namespace funcnn::cpu::simd {
namespace FUNCNN_ISA {

void add_power(Table& t) { add_rare_binary<RealPower>(t, Opcode::power); }

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
