// Functions that go another way for a few arguments: `near`, and `far` for those that are `rare`; or which are beyond
// the magnitude kUsual, and NaN.
// Everything has internal linkage: see table.h.
#pragma once

#include "backends/cpu/simd/arithmetic.h"
#include "backends/cpu/simd/loops.h"
#include "backends/cpu/simd/number.h"

namespace funcnn::cpu::simd {
namespace {

constexpr int64_t kRareBlock = 256;

// The test of a block comes before any output is written, because the output may be the input.
template <class Op, class T>
FUNCNN_INLINE void rare_block(T* FUNCNN_RESTRICT o, const T* FUNCNN_RESTRICT x, int64_t n) {
  int32_t rare = 0;
  for (int64_t i = 0; i < n; ++i) rare |= int32_t(is_rare<Op>(x[i]));
  if (!rare) {
    for (int64_t i = 0; i < n; ++i) o[i] = Op::near(x[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) o[i] = is_rare<Op>(x[i]) ? Op::far(x[i]) : Op::near(x[i]);
  }
}
template <class Op, class T>
void rare_loop(void* out, const void* a, const void*, const void*, int64_t n) {
  T* o = static_cast<T*>(out);
  const T* x = static_cast<const T*>(a);
  for (int64_t i = 0; i < n; i += kRareBlock) rare_block<Op>(o + i, x + i, n - i < kRareBlock ? n - i : kRareBlock);
}
template <class Op, int mask>
void rare_binary_loop(void* out, const void* a, const void* b, const void*, int64_t n) {
  const float first = *static_cast<const float*>(a), second = *static_cast<const float*>(b);
  for (int64_t i = 0; i < n; i += kRareBlock) {
    const int64_t count = n - i < kRareBlock ? n - i : kRareBlock;
    float* FUNCNN_RESTRICT o = static_cast<float*>(out) + i;
    const float* FUNCNN_RESTRICT x = static_cast<const float*>(a) + (mask == 1 ? 0 : i);
    const float* FUNCNN_RESTRICT y = static_cast<const float*>(b) + (mask == 2 ? 0 : i);
    auto left = [&](int64_t k) { return mask == 1 ? first : x[k]; };
    auto right = [&](int64_t k) { return mask == 2 ? second : y[k]; };
    int32_t rare = 0;
    for (int64_t k = 0; k < count; ++k) rare |= int32_t(is_rare<Op>(left(k), right(k)));
    if (!rare) {
      for (int64_t k = 0; k < count; ++k) o[k] = Op::near(left(k), right(k));
    } else {
      for (int64_t k = 0; k < count; ++k) {
        const float u = left(k), v = right(k);
        o[k] = is_rare<Op>(u, v) ? Op::far(u, v) : Op::near(u, v);
      }
    }
  }
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

template <class Op, class T = float>
void add_rare(Table& t, Opcode op) {
  t.compute[int(op)][DtypeOf<T>::value][0] = rare_loop<Op, T>;
}
template <class Op>
void add_rare_binary(Table& t, Opcode op) {
  ComputeFn* entry = t.compute[int(op)][int(Dtype::float32)];
  entry[0] = rare_binary_loop<Op, 0>;
  entry[1] = rare_binary_loop<Op, 1>;
  entry[2] = rare_binary_loop<Op, 2>;
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
