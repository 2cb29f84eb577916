// Factorisations of one large matrix, in panels of columns: LAPACK factorises a panel, and the columns beside it are
// brought up to date in chunks, on all threads. Widths are fixed, so that results do not depend on how many there are.
#include <algorithm>
#include <complex>
#include <memory>
#include <type_traits>

#include "backends/cpu/blas.h"
#include "backends/cpu/lapack.h"
#include "backends/cpu/lapack_names.h"
#include "base/thread_pool.h"

namespace funcnn::cpu::lapack {
namespace {

using Complex = std::complex<float>;
constexpr Int kPanel = 64, kChunk = 128;
constexpr Int kFrom = 256;  // rows and columns from which on it pays off

// Run body(first column, columns) over [begin, end) in chunks.
template <class Body>
void over_chunks(Int begin, Int end, Body&& body) {
  Int count = (end - begin + kChunk - 1) / kChunk;
  parallel_for(count, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      Int at = begin + Int(i) * kChunk;
      body(at, std::min(kChunk, end - at));
    }
  });
}

}  // namespace

extern "C" {
#define DECLARE(T, p)                                                                                                  \
  void LAPACK(p##gemm)(const char*, const char*, const Int*, const Int*, const Int*, const T*, const T*, const Int*,   \
                       const T*, const Int*, const T*, T*, const Int* LENGTHS);                                        \
  void LAPACK(p##trsm)(const char*, const char*, const char*, const char*, const Int*, const Int*, const T*, const T*, \
                       const Int*, T*, const Int* LENGTHS LENGTHS);                                                    \
  void LAPACK(p##laswp)(const Int*, T*, const Int*, const Int*, const Int*, const Int*, const Int*);                   \
  void LAPACK(p##larft)(const char*, const char*, const Int*, const Int*, T*, const Int*, const T*, T*,                \
                        const Int* LENGTHS);                                                                           \
  void LAPACK(p##larfb)(const char*, const char*, const char*, const char*, const Int*, const Int*, const Int*,        \
                        const T*, const Int*, const T*, const Int*, T*, const Int*, T*, const Int* LENGTHS LENGTHS);
FOR_ALL(DECLARE)
#undef DECLARE
}

namespace {

#define DEFINE(T, p)                                                                                           \
  void swap_rows(Int columns, T* a, Int ld, Int from, Int to, const Int* pivots) {                             \
    const Int first = from + 1, step = 1;                                                                      \
    LAPACK(p##laswp)(&columns, a, &ld, &first, &to, pivots, &step);                                            \
  }                                                                                                            \
  void solve_unit_lower(Int n, Int columns, const T* l, Int ldl, T* b, Int ldb) {                              \
    const T one = 1;                                                                                           \
    LAPACK(p##trsm)("L", "L", "N", "U", &n, &columns, &one, l, &ldl, b, &ldb ONES ONES);                       \
  }                                                                                                            \
  void subtract_product(Int m, Int n, Int k, const T* a, Int lda, const T* b, Int ldb, T* c, Int ldc) {        \
    const T one = 1, minus = -1;                                                                               \
    LAPACK(p##gemm)("N", "N", &m, &n, &k, &minus, a, &lda, b, &ldb, &one, c, &ldc ONES);                       \
  }                                                                                                            \
  void triangle_of_reflectors(Int m, Int k, T* v, Int ld, const T* tau, T* t) {                                \
    LAPACK(p##larft)("F", "C", &m, &k, v, &ld, tau, t, &kPanel ONES);                                          \
  }                                                                                                            \
  void reflect(bool back, Int m, Int n, Int k, const T* v, Int ldv, const T* t, T* c, Int ldc, T* work) {      \
    const char* trans = back ? std::is_same_v<T, Complex> ? "C" : "T" : "N";                                   \
    LAPACK(p##larfb)("L", trans, "F", "C", &m, &n, &k, v, &ldv, t, &kPanel, c, &ldc, work, &kChunk ONES ONES); \
  }
FOR_ALL(DEFINE)
#undef DEFINE

// C = Q C by blocks of k reflectors, the last one first. Of the identity, columns before those of a block are not
// reached.
template <class T>
void apply_reflectors(Int m, Int n, Int k, const T* v, Int ldv, const T* tau, T* c, Int ldc, bool identity) {
  std::unique_ptr<T[]> t(new T[size_t(kPanel) * kPanel]);
  for (Int j = (k - 1) / kPanel * kPanel; j >= 0; j -= kPanel) {
    Int width = std::min(kPanel, k - j);
    const T* block = v + j + int64_t(j) * ldv;
    triangle_of_reflectors(m - j, width, const_cast<T*>(block), ldv, tau + j, t.get());
    over_chunks(identity ? j : 0, n, [&](Int first, Int columns) {
      std::unique_ptr<T[]> work(new T[size_t(kChunk) * kPanel]);
      reflect(false, m - j, columns, width, block, ldv, t.get(), c + j + int64_t(first) * ldc, ldc, work.get());
    });
  }
}

}  // namespace

template <class T>
Int getrf_shared(Int m, Int n, T* a, Int ld, Int* pivots) {
  Int k = std::min(m, n), info = 0;
  if (k < kFrom) return getrf(m, n, a, ld, pivots);
  auto at = [&](Int i, Int j) { return a + i + int64_t(j) * ld; };
  for (Int j = 0; j < k; j += kPanel) {
    Int width = std::min(kPanel, k - j), next = j + width;
    Int zero = getrf(m - j, width, at(j, j), ld, pivots + j);
    if (zero && !info) info = zero + j;
    for (Int i = j; i < next; ++i) pivots[i] += j;
    over_chunks(0, j, [&](Int c, Int columns) { swap_rows(columns, at(0, c), ld, j, next, pivots); });
    over_chunks(next, n, [&](Int c, Int columns) {
      swap_rows(columns, at(0, c), ld, j, next, pivots);
      solve_unit_lower(width, columns, at(j, j), ld, at(j, c), ld);
      if (next < m) subtract_product(m - next, columns, width, at(next, j), ld, at(j, c), ld, at(next, c), ld);
    });
  }
  return info;
}

template <class T>
void geqrf_shared(Int m, Int n, T* a, Int ld, T* tau) {
  Int k = std::min(m, n);
  if (k < kFrom) {
    geqrf(m, n, a, ld, tau);
    return;
  }
  auto at = [&](Int i, Int j) { return a + i + int64_t(j) * ld; };
  std::unique_ptr<T[]> t(new T[size_t(kPanel) * kPanel]);
  for (Int j = 0; j < k; j += kPanel) {
    Int width = std::min(kPanel, k - j);
    geqrf(m - j, width, at(j, j), ld, tau + j);
    if (j + width >= n) break;
    triangle_of_reflectors(m - j, width, at(j, j), ld, tau + j, t.get());
    over_chunks(j + width, n, [&](Int c, Int columns) {
      std::unique_ptr<T[]> work(new T[size_t(kChunk) * kPanel]);
      reflect(true, m - j, columns, width, at(j, j), ld, t.get(), at(j, c), ld, work.get());
    });
  }
}

template <class T>
void orgqr_shared(Int m, Int n, Int k, T* a, Int ld, const T* tau) {
  if (k < kFrom) {
    orgqr(m, n, k, a, ld, tau);
    return;
  }
  blas::single_threaded();
  // The reflectors move aside, and their blocks are applied to the identity, the last one first.
  std::unique_ptr<T[]> reflectors(new T[size_t(m) * size_t(k)]);
  for (Int j = 0; j < k; ++j) std::copy_n(a + int64_t(j) * ld, m, reflectors.get() + int64_t(j) * m);
  for (Int j = 0; j < n; ++j) {
    std::fill_n(a + int64_t(j) * ld, m, T(0));
    a[int64_t(j) * ld + j] = T(1);
  }
  apply_reflectors(m, n, k, reflectors.get(), m, tau, a, ld, true);
}

#define INSTANTIATE(T)                                \
  template Int getrf_shared(Int, Int, T*, Int, Int*); \
  template void geqrf_shared(Int, Int, T*, Int, T*);  \
  template void orgqr_shared(Int, Int, Int, T*, Int, const T*);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(Complex)
#undef INSTANTIATE

}  // namespace funcnn::cpu::lapack
