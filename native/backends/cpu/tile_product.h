// A matrix product on the calling thread, for kernels that make many.
#pragma once

#include <vector>

#include "backends/cpu/arena.h"
#include "backends/cpu/gemm.h"
#include "base/dtype.h"

namespace funcnn::cpu {

inline Arena& product_room() {
  static thread_local Arena room;
  return room;
}

// C (m x n, rows `leading` apart) = A B.
template <class T>
void product(int64_t m, int64_t n, int64_t k, MatrixView<T> a, MatrixView<T> b, T* c, int64_t leading) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) c[i * leading + j] = T(0);
    return;
  }
  const GemmTable* table = gemm_table();
  if (!table) {
    using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        Wide total = 0;
        for (int64_t p = 0; p < k; ++p) total += Wide(*a.at(i, p).data) * Wide(*b.at(p, j).data);
        c[i * leading + j] = T(total);
      }
    return;
  }
  std::byte* room = product_room().get(gemm_room(m, n, k, sizeof(T)));
  if constexpr (std::is_same_v<T, float>)
    table->f32(m, n, k, a, b, c, leading, room);
  else if constexpr (std::is_same_v<T, double>)
    table->f64(m, n, k, a, b, c, leading, room);
  else if constexpr (std::is_same_v<T, float16_t>)
    table->f16.rounded(m, n, k, a, b, c, leading, room);
  else
    table->bf16.rounded(m, n, k, a, b, c, leading, room);
}

// Call f(TypeTag<T>) for a real floating-point dtype.
template <class F>
decltype(auto) visit_real(Dtype dtype, F&& f) {
  switch (dtype) {
    case Dtype::float16:
      return f(TypeTag<float16_t>{});
    case Dtype::bfloat16:
      return f(TypeTag<bfloat16_t>{});
    case Dtype::float64:
      return f(TypeTag<double>{});
    default:
      return f(TypeTag<float>{});
  }
}

}  // namespace funcnn::cpu
