// Functions that go another way for a few arguments: `near` up to the magnitude kUsual, `far` beyond and for NaN.
// Everything has internal linkage: see table.h.
#pragma once

#include <type_traits>

#include "backends/cpu/simd/arithmetic.h"
#include "backends/cpu/simd/loops.h"
#include "backends/cpu/simd/number.h"

namespace funcnn::cpu::simd {
namespace {

constexpr int64_t kRareBlock = 256;

// The test of a block comes before any output is written, because the output may be the input.
template <class Op, class T>
FUNCNN_INLINE void rare_block(T* FUNCNN_RESTRICT o, const T* FUNCNN_RESTRICT x, int64_t n) {
  int32_t usual = 1;
  for (int64_t i = 0; i < n; ++i) usual &= int32_t(!less_as_integers(Op::kUsual, fabs(x[i])));
  if (usual) {
    for (int64_t i = 0; i < n; ++i) o[i] = Op::near(x[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) o[i] = less_as_integers(Op::kUsual, fabs(x[i])) ? Op::far(x[i]) : Op::near(x[i]);
  }
}
template <class Op, class T>
void rare_loop(void* out, const void* a, const void*, const void*, int64_t n) {
  T* o = static_cast<T*>(out);
  const T* x = static_cast<const T*>(a);
  for (int64_t i = 0; i < n; i += kRareBlock) rare_block<Op>(o + i, x + i, n - i < kRareBlock ? n - i : kRareBlock);
}
// Of a - b.
template <class Op, int mask>
void rare_difference_loop(void* out, const void* a, const void* b, const void*, int64_t n) {
  float* o = static_cast<float*>(out);
  for (int64_t i = 0; i < n; i += kRareBlock) {
    const int64_t count = n - i < kRareBlock ? n - i : kRareBlock;
    const float* x = static_cast<const float*>(a) + (mask == 1 ? 0 : i);
    const float* y = static_cast<const float*>(b) + (mask == 2 ? 0 : i);
    float difference[kRareBlock];
    binary_loop<Subtract, float, float, mask>(difference, x, y, nullptr, count);
    rare_block<Op>(o + i, difference, count);
  }
}

template <class Op>
void add_rare(Table& t, Opcode op) {
  using T = std::remove_const_t<decltype(Op::kUsual)>;
  t.compute[int(op)][DtypeOf<T>::value][0] = rare_loop<Op, T>;
}
template <class Op>
void add_rare_difference(Table& t, int op) {
  ComputeFn* entry = t.compute[op][int(Dtype::float32)];
  entry[0] = rare_difference_loop<Op, 0>;
  entry[1] = rare_difference_loop<Op, 1>;
  entry[2] = rare_difference_loop<Op, 2>;
}

}  // namespace
}  // namespace funcnn::cpu::simd
