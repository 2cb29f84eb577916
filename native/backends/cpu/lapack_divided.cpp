// Eigenvectors and singular vectors of one large matrix: LAPACK reduces it and solves the small problem; the vectors
// are turned back by blocks of reflectors, on all threads.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "backends/cpu/lapack.h"

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
Int syevd_shared(Int n, T* a, Int ld, T* w, T* z, Int ldz) {
  std::unique_ptr<T[]> room(new T[2 * size_t(n)]);
  T *e = room.get(), *tau = e + n;
  const T scale = rescale(true, n, a, ld);
  sytrd_shared(n, a, ld, w, e, tau);
  if (Int info = stedc(n, w, e, z, ldz)) return info;
  ormqr_shared(n - 1, n, n - 1, a + 1, ld, tau, z + 1, ldz);
  for (Int i = 0; i < n && scale != T(1); ++i) w[i] /= scale;
  return 0;
}

template <class T>
Int gesdd_shared(Int n, T* a, Int ld, T* s, T* u, Int ldu, T* vh, Int ldv) {
  std::unique_ptr<T[]> room(new T[3 * size_t(n)]);
  T *e = room.get(), *tau_q = e + n, *tau_p = tau_q + n;
  const T scale = rescale(false, n, a, ld);
  gebrd_shared(n, a, ld, s, e, tau_q, tau_p);
  if (Int info = bdsdc(n, s, e, u, ldu, vh, ldv)) return info;
  ormqr_shared(n, n, n, a, ld, tau_q, u, ldu);
  ormlq_right_shared(n, n - 1, n - 1, a + ld, ld, tau_p, vh + ldv, ldv);
  for (Int i = 0; i < n && scale != T(1); ++i) s[i] /= scale;
  return 0;
}

#define INSTANTIATE(T)                                  \
  template Int syevd_shared(Int, T*, Int, T*, T*, Int); \
  template Int gesdd_shared(Int, T*, Int, T*, T*, Int, T*, Int);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace funcnn::cpu::lapack
