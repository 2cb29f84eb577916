// Eigenvectors and singular vectors of one large matrix: it is reduced, the small problem is solved, and vectors are
// turned back by blocks of reflectors, all of it on all threads but for the values of a bidiagonal matrix, which are
// LAPACK's.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "backends/cpu/lapack.h"
#include "backends/cpu/lapack_tiled.h"

namespace funcnn::cpu::lapack {
namespace {

// The power of two that brings the largest element of a matrix near to 1 where squares of it would be lost, else 1.
template <class T>
T scale_of(T largest) {
  const T root = std::sqrt(std::numeric_limits<T>::min()) / std::numeric_limits<T>::epsilon();
  if (!(largest > 0) || (largest >= root && largest <= 1 / root)) return T(1);
  return std::ldexp(T(1), std::clamp(-std::ilogb(largest), std::numeric_limits<T>::min_exponent,
                                     std::numeric_limits<T>::max_exponent - 1));
}

// The columns of the lower triangle, or of all, times that.
template <class T>
T rescale(bool lower, Int n, T* a, Int ld) {
  T largest = 0;
  auto over = [&](auto f) {
    for (int64_t j = 0; j < n; ++j)
      for (int64_t i = lower ? j : 0; i < n; ++i) f(a[i + j * ld]);
  };
  over([&](T x) { largest = std::max(largest, std::abs(x)); });
  T scale = scale_of(largest);
  if (scale != T(1)) over([&](T& x) { x *= scale; });
  return scale;
}

}  // namespace

template <class T>
Int syevd_shared(const LapackTiles<T>& tiles, Int n, T* a, Int ld, T* w, T* rows) {
  // All room at once: allocators give several large pieces back to the system, which has to clear them again.
  std::unique_ptr<T[]> memory(new T[size_t(n) * size_t(ld + 2) + size_t(eigen_room(n))]);
  T *e = memory.get(), *tau = e + n, *z = tau + n, *room = z + int64_t(n) * ld;
  const T scale = rescale(true, n, a, ld);
  sytrd_shared(tiles, n, a, ld, w, e, tau);
  if (Int info = eigen_tridiagonal(tiles, n, w, e, z, ld, room)) return info;
  for (int64_t j = 0; j < n; ++j) rows[j] = z[j * ld];
  const MatrixView<T> below{z + 1, 1, ld};
  reflect_tiled(tiles, n - 1, n, n - 1, {a + 1, 1, ld}, tau, &below, rows + n, n, 1);
  for (Int i = 0; i < n && scale != T(1); ++i) w[i] /= scale;
  return 0;
}

template <class T>
Int gesdd_shared(const LapackTiles<T>& tiles, Int n, T* a, Int ld, T* s, T* u, Int ldu, T* vh, Int ldv) {
  std::unique_ptr<T[]> room(new T[3 * size_t(n)]);
  T *e = room.get(), *tau_q = e + n, *tau_p = tau_q + n;
  const T scale = rescale(false, n, a, ld);
  gebrd_shared(tiles, n, a, ld, s, e, tau_q, tau_p);
  if (Int info = bdsdc(n, s, e, u, ldu, vh, ldv)) return info;
  // V lies by rows.
  const MatrixView<T> left{u, 1, ldu}, right{vh + ldv, ldv, 1};
  reflect_tiled(tiles, n, n, n, {a, 1, ld}, tau_q, &left, u, 1, ldu);
  reflect_tiled(tiles, n - 1, n, n - 1, {a + ld, ld, 1}, tau_p, &right, vh + ldv, ldv, 1);
  for (Int i = 0; i < n && scale != T(1); ++i) s[i] /= scale;
  return 0;
}

#define INSTANTIATE(T)                                                    \
  template Int syevd_shared(const LapackTiles<T>&, Int, T*, Int, T*, T*); \
  template Int gesdd_shared(const LapackTiles<T>&, Int, T*, Int, T*, T*, Int, T*, Int);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace funcnn::cpu::lapack
