// The dense products of the BLAS, one signature for all element types, each call on the calling thread alone.
#pragma once

#include <complex>
#include <cstdint>

namespace funcnn::cpu::blas {

// A row-major matrix as the BLAS sees it: `transposed` if it lies column by column; `leading` is the distance between
// rows (columns).
struct MatrixLayout {
  bool transposed = false;
  int64_t leading = 1;
};
enum class Transposition : uint8_t { none, transposed, conjugated };

// Our thread pool shares the work out; the library must not start threads of its own. To be called before any of its
// routines; those below do it.
void single_threaded();

// C = A B + beta C with C dense in its rows. T: float, double, std::complex<float>.
template <class T>
void gemm(int64_t m, int64_t n, int64_t k, const T* a, MatrixLayout layout_a, const T* b, MatrixLayout layout_b, T beta,
          T* c, int64_t leading_c);
// y = A x + beta y; A has m rows and k columns.
template <class T>
void gemv(int64_t m, int64_t k, const T* a, MatrixLayout layout, const T* x, int64_t step_x, T beta, T* y);
// B = A^-1 B with A triangular, n x n, and B of k columns; both row-major.
template <class T>
void trsm(bool upper, Transposition transposition, bool unit_diagonal, int64_t n, int64_t k, const T* a,
          int64_t leading_a, T* b, int64_t leading_b);

}  // namespace funcnn::cpu::blas
