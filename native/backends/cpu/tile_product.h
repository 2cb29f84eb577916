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
  const GemmOf<T>* products = products_of<T>();
  if (!products) {
    using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        Wide total = 0;
        for (int64_t p = 0; p < k; ++p) total += Wide(*a.at(i, p).data) * Wide(*b.at(p, j).data);
        c[i * leading + j] = T(total);
      }
    return;
  }
  products->rounded.multiply(m, n, k, a, b, c, leading, product_room().get(gemm_room(m, n, k, sizeof(T))));
}

}  // namespace funcnn::cpu
