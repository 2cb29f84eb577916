#include "backends/cpu/simd/fused.h"

#include "backends/cpu/simd/loops.h"

namespace funcnn::cpu::simd {
namespace {

template <class T>
void divide_row(void* out, const void* a, const void* b, const void*, int64_t n) {
  T* FUNCNN_RESTRICT o = static_cast<T*>(out);
  const T* FUNCNN_RESTRICT x = static_cast<const T*>(a);
  const T d = *static_cast<const T*>(b);
  if (divides_by_reciprocal(d)) {
    const T r = T(1) / d;
    for (int64_t i = 0; i < n; ++i) o[i] = x[i] * r;
  } else {
    for (int64_t i = 0; i < n; ++i) o[i] = x[i] / d;
  }
}

template <class Op>
void add_both(Table& t, int op) {
  add_ternary_as<Op, float, float, float, float>(t, op, int(Dtype::float32));
  add_ternary_as<Op, double, double, double, double>(t, op, int(Dtype::float64));
}

}  // namespace

namespace FUNCNN_ISA {

void add_fused(Table& t) {
  add_both<Fma>(t, int(Opcode::fma));
  add_both<Fms>(t, kFms);
  add_both<Fnma>(t, kFnma);
  add_both<ScaledDifference>(t, kScaledDifference);
  t.compute[kDivideRow][int(Dtype::float32)][2] = divide_row<float>;
  t.compute[kDivideRow][int(Dtype::float64)][2] = divide_row<double>;
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
