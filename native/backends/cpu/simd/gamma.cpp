#include "backends/cpu/simd/gamma.h"

#include "backends/cpu/simd/loops.h"

namespace funcnn::cpu::simd {
namespace {

template <class Op>
ComputeFn scalar_entry;  // the one that was there before

// Positive finite numbers in vectors, others one by one.
template <class Op>
void gamma_loop(void* out, const void* a, const void*, const void*, int64_t n) {
  constexpr int64_t kBlock = 256;
  float* o = static_cast<float*>(out);
  const float* x = static_cast<const float*>(a);
  for (int64_t begin = 0; begin < n; begin += kBlock, x += kBlock, o += kBlock) {
    const int64_t count = n - begin < kBlock ? n - begin : kBlock;
    float result[kBlock];
    int32_t usual = 1;
    for (int64_t i = 0; i < count; ++i) usual &= int32_t((x[i] > 0.0f) & (x[i] < kInf));
    for (int64_t i = 0; i < count; ++i) result[i] = Op::apply(x[i]);
    if (!usual)
      for (int64_t i = 0; i < count; ++i)
        if (!(x[i] > 0.0f && x[i] < kInf)) scalar_entry<Op>(result + i, x + i, nullptr, nullptr, 1);
    for (int64_t i = 0; i < count; ++i) o[i] = result[i];
  }
}
template <class Op>
void add_of_gamma(Table& t, Opcode op) {
  ComputeFn& entry = t.compute[int(op)][int(Dtype::float32)][0];
  scalar_entry<Op> = entry;
  entry = gamma_loop<Op>;
}

}  // namespace

namespace FUNCNN_ISA {

void add_gamma(Table& t) {
  add_of_gamma<Lgamma>(t, Opcode::lgamma);
  add_of_gamma<Digamma>(t, Opcode::digamma);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
