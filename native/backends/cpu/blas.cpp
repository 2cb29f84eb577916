#include "backends/cpu/blas.h"

#include <type_traits>

#if defined(FUNCNN_ACCELERATE)
#include <Accelerate/Accelerate.h>
#define BLAS(name) cblas_##name
using BlasInt = int;
#else
#include <cblas.h>
#define BLAS(name) scipy_cblas_##name
using BlasInt = blasint;
#endif

namespace funcnn::cpu::blas {

void single_threaded() {
#if !defined(FUNCNN_ACCELERATE)
  [[maybe_unused]] static const bool once = (scipy_openblas_set_num_threads(1), true);
#endif
}

template <class T>
void gemm(int64_t m, int64_t n, int64_t k, const T* a, MatrixLayout la, const T* b, MatrixLayout lb, T beta, T* c,
          int64_t ldc) {
  single_threaded();
  auto ta = la.transposed ? CblasTrans : CblasNoTrans, tb = lb.transposed ? CblasTrans : CblasNoTrans;
  const BlasInt mm = BlasInt(m), nn = BlasInt(n), kk = BlasInt(k);
  const BlasInt lda = BlasInt(la.leading), ldb = BlasInt(lb.leading), lc = BlasInt(ldc);
  if constexpr (std::is_same_v<T, float>) {
    BLAS(sgemm)(CblasRowMajor, ta, tb, mm, nn, kk, 1, a, lda, b, ldb, beta, c, lc);
  } else if constexpr (std::is_same_v<T, double>) {
    BLAS(dgemm)(CblasRowMajor, ta, tb, mm, nn, kk, 1, a, lda, b, ldb, beta, c, lc);
  } else {
    const T one = 1;
    BLAS(cgemm)(CblasRowMajor, ta, tb, mm, nn, kk, &one, a, lda, b, ldb, &beta, c, lc);
  }
}

template <class T>
void gemv(int64_t m, int64_t k, const T* a, MatrixLayout la, const T* x, int64_t step_x, T beta, T* y) {
  single_threaded();
  auto trans = la.transposed ? CblasTrans : CblasNoTrans;
  const BlasInt rows = BlasInt(la.transposed ? k : m), columns = BlasInt(la.transposed ? m : k);
  const BlasInt lda = BlasInt(la.leading), step = BlasInt(step_x);
  if constexpr (std::is_same_v<T, float>) {
    BLAS(sgemv)(CblasRowMajor, trans, rows, columns, 1, a, lda, x, step, beta, y, 1);
  } else if constexpr (std::is_same_v<T, double>) {
    BLAS(dgemv)(CblasRowMajor, trans, rows, columns, 1, a, lda, x, step, beta, y, 1);
  } else {
    const T one = 1;
    BLAS(cgemv)(CblasRowMajor, trans, rows, columns, &one, a, lda, x, step, &beta, y, 1);
  }
}

template <class T>
void trsm(bool upper, Transposition transposition, bool unit_diagonal, int64_t n, int64_t k, const T* a, int64_t lda,
          T* b, int64_t ldb) {
  single_threaded();
  auto uplo = upper ? CblasUpper : CblasLower;
  auto trans = transposition == Transposition::none         ? CblasNoTrans
               : transposition == Transposition::transposed ? CblasTrans
                                                            : CblasConjTrans;
  auto diag = unit_diagonal ? CblasUnit : CblasNonUnit;
  const BlasInt nn = BlasInt(n), kk = BlasInt(k), la = BlasInt(lda), lb = BlasInt(ldb);
  const T one = 1;
  if constexpr (std::is_same_v<T, float>) {
    if (k == 1)
      BLAS(strsv)(CblasRowMajor, uplo, trans, diag, nn, a, la, b, lb);
    else
      BLAS(strsm)(CblasRowMajor, CblasLeft, uplo, trans, diag, nn, kk, one, a, la, b, lb);
  } else if constexpr (std::is_same_v<T, double>) {
    if (k == 1)
      BLAS(dtrsv)(CblasRowMajor, uplo, trans, diag, nn, a, la, b, lb);
    else
      BLAS(dtrsm)(CblasRowMajor, CblasLeft, uplo, trans, diag, nn, kk, one, a, la, b, lb);
  } else {
    if (k == 1)
      BLAS(ctrsv)(CblasRowMajor, uplo, trans, diag, nn, a, la, b, lb);
    else
      BLAS(ctrsm)(CblasRowMajor, CblasLeft, uplo, trans, diag, nn, kk, &one, a, la, b, lb);
  }
}

#define INSTANTIATE(T)                                                                                              \
  template void gemm<T>(int64_t, int64_t, int64_t, const T*, MatrixLayout, const T*, MatrixLayout, T, T*, int64_t); \
  template void gemv<T>(int64_t, int64_t, const T*, MatrixLayout, const T*, int64_t, T, T*);                        \
  template void trsm<T>(bool, Transposition, bool, int64_t, int64_t, const T*, int64_t, T*, int64_t);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(std::complex<float>)
#undef INSTANTIATE

}  // namespace funcnn::cpu::blas
