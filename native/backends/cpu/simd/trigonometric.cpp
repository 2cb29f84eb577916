#include "backends/cpu/simd/trigonometric.h"

#include "backends/cpu/simd/loops.h"

namespace funcnn::cpu::simd {
namespace {

// The test of a block comes before any output is written, because the output may be the input.
template <class Op>
void periodic_loop(void* out, const void* a, const void*, const void*, int64_t n) {
  constexpr int64_t kBlock = 256;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    int64_t count = n - begin < kBlock ? n - begin : kBlock;
    float* FUNCNN_RESTRICT o = static_cast<float*>(out) + begin;
    const float* FUNCNN_RESTRICT x = static_cast<const float*>(a) + begin;
    int32_t usual = 1;
    for (int64_t i = 0; i < count; ++i) usual &= int32_t(!(std::fabs(x[i]) > kLargeAngle));
    if (usual) {
      for (int64_t i = 0; i < count; ++i) o[i] = Op::near(x[i]);
    } else {
      for (int64_t i = 0; i < count; ++i) o[i] = std::fabs(x[i]) > kLargeAngle ? Op::far(x[i]) : Op::near(x[i]);
    }
  }
}

}  // namespace

namespace FUNCNN_ISA {

void add_trigonometric(Table& t) {
  constexpr int f = int(Dtype::float32);
  t.compute[int(Opcode::sin)][f][0] = periodic_loop<Sin>;
  t.compute[int(Opcode::cos)][f][0] = periodic_loop<Cos>;
  t.compute[int(Opcode::tan)][f][0] = periodic_loop<Tan>;
  add_unary_one<Arcsin, float>(t, Opcode::arcsin);
  add_unary_one<Arccos, float>(t, Opcode::arccos);
  add_unary_one<Arctan, float>(t, Opcode::arctan);
  add_binary_one<Arctan2, float>(t, Opcode::arctan2);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
