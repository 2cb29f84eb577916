// Matrix products by our own tile kernel, compiled for each instruction set. Operands may have any strides and be
// 16-bit floats. Every element of the result is one chain of multiply-adds in the order of K (in blocks of fixed
// length), so results do not depend on how the work is cut.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/half.h"

namespace funcnn::cpu {

// Where a matrix lies: element (i, j) at data[i * row + j * column].
template <class T>
struct MatrixView {
  const T* data;
  int64_t row, column;
  MatrixView at(int64_t i, int64_t j) const { return {data + i * row + j * column, row, column}; }
};

// C (m x n, dense in its rows) = A B, on the calling thread. `room`: at least gemm_room(...) bytes, aligned to 64.
template <class T, class C = T>
using Gemm = void (*)(int64_t m, int64_t n, int64_t k, MatrixView<T> a, MatrixView<T> b, C* c, int64_t leading,
                      std::byte* room);

// 16-bit floats are accumulated in float32, which C may be as well.
template <class T>
struct HalfGemm {
  Gemm<T> rounded;
  Gemm<T, float> wide;
};

struct GemmTable {
  Gemm<float> f32;
  Gemm<double> f64;
  HalfGemm<float16_t> f16;
  HalfGemm<bfloat16_t> bf16;
};

// The product of matrices of T into one of T.
template <class T>
Gemm<T> gemm_for(const GemmTable& table) {
  if constexpr (std::is_same_v<T, float>)
    return table.f32;
  else if constexpr (std::is_same_v<T, double>)
    return table.f64;
  else if constexpr (std::is_same_v<T, float16_t>)
    return table.f16.rounded;
  else
    return table.bf16.rounded;
}

// Bytes of scratch memory a product of this size needs.
size_t gemm_room(int64_t m, int64_t n, int64_t k, size_t item);
// The table for this machine; null where the compiler cannot build it.
const GemmTable* gemm_table();

}  // namespace funcnn::cpu
