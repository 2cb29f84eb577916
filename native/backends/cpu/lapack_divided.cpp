// Eigenvectors and singular vectors of one matrix: it is reduced, the small problem is solved, and vectors are turned
// back by reflectors, on all threads where that pays off.
#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <memory>
#include <type_traits>

#include "backends/cpu/lapack.h"
#include "backends/cpu/lapack_batch.h"
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

// The columns of a matrix, or of its lower triangle, times that.
template <class T>
Real<T> rescale(bool lower, Int m, Int n, T* a, Int ld) {
  Real<T> largest = 0;
  auto over = [&](auto f) {
    for (int64_t j = 0; j < n; ++j)
      for (int64_t i = lower ? j : 0; i < m; ++i) f(a[i + j * ld]);
  };
  over([&](T x) { largest = std::max({largest, std::abs(std::real(x)), std::abs(std::imag(x))}); });
  Real<T> scale = scale_of(largest);
  if (scale != Real<T>(1)) over([&](T& x) { x *= scale; });
  return scale;
}

template <class T>
constexpr bool kReal = std::is_same_v<T, Real<T>>;

// Where results go: element (i, j) at i * row + j * column, one of which is 1.
template <class T>
struct Target {
  T* data;
  int64_t row, column;

  void set(int64_t m, int64_t n, const T* x, int64_t ld) const {
    for (int64_t j = 0; j < n; ++j)
      for (int64_t i = 0; i < m; ++i) data[i * row + j * column] = x[i + j * ld];
  }
};

// Q X, with k reflectors below the diagonal of A; X may be overwritten.
template <class T>
Int turned_by_q(const LapackTiles<T>* tiles, Int m, Int n, Int k, const T* a, Int ld, const T* tau, T* x, Int ldx,
                const Target<T>& to) {
  if constexpr (kReal<T>) {
    if (tiles) {
      const MatrixView<T> from{x, 1, ldx};
      reflect_tiled(*tiles, m, n, k, {a, 1, ld}, tau, &from, to.data, to.row, to.column);
      return 0;
    }
  }
  if (Int info = ormqr(m, n, k, a, ld, tau, x, ldx)) return info;
  if (to.data != x) to.set(m, n, x, ldx);
  return 0;
}

// conj(P) Y, with reflectors above the diagonal of A, one column on; both are square.
template <class T>
Int turned_by_p(const LapackTiles<T>* tiles, Int n, const T* a, Int ld, const T* tau, T* y, Int ldy,
                const Target<T>& to) {
  if constexpr (kReal<T>) {
    if (tiles) {
      for (int64_t j = 0; j < n; ++j) to.data[j * to.column] = y[j * ldy];
      const MatrixView<T> from{y + 1, 1, ldy};
      reflect_tiled(*tiles, n - 1, n, n - 1, {a + ld, ld, 1}, tau, &from, to.data + to.row, to.row, to.column);
      return 0;
    }
  }
  if (Int info = ormbr_p(n, a, ld, tau, y, ldy)) return info;
  if constexpr (!kReal<T>)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t i = 0; i < n; ++i) y[i + j * ldy] = std::conj(y[i + j * ldy]);
  to.set(n, n, y, ldy);
  return 0;
}

}  // namespace

template <class T>
Int syevd_shared(const LapackTiles<T>& tiles, Int n, T* a, Int ld, T* w, T* rows) {
  // All room at once: allocators give several large pieces back to the system, which has to clear them again.
  std::unique_ptr<T[]> memory(new T[size_t(n) * size_t(ld + 2) + size_t(eigen_room(n))]);
  T *e = memory.get(), *tau = e + n, *z = tau + n, *room = z + int64_t(n) * ld;
  const T scale = rescale(true, n, n, a, ld);
  sytrd_shared(tiles, n, a, ld, w, e, tau);
  if (Int info = eigen_tridiagonal(tiles, n, w, e, z, ld, room)) return info;
  for (int64_t j = 0; j < n; ++j) rows[j] = z[j * ld];
  const MatrixView<T> below{z + 1, 1, ld};
  reflect_tiled(tiles, n - 1, n, n - 1, {a + 1, 1, ld}, tau, &below, rows + n, n, 1);
  for (Int i = 0; i < n && scale != T(1); ++i) w[i] /= scale;
  return 0;
}

template <class T>
Int svd_tall(bool full, Int m, Int n, T* a, Int ld, Real<T>* s, T* u, int64_t u_row, int64_t u_column, T* w,
             int64_t w_row, int64_t w_column) {
  using R = Real<T>;
  const LapackTiles<T>* tiles = lapack_tiles<T>();
  const Int width = full ? m : n, step = Int(apart(n)), tall = m > n ? Int(apart(m)) : step;
  const int64_t side = int64_t(n) * step;
  const Target<T> to_u{u, u_row, u_column}, to_w{w, w_row, w_column};
  const R scale = rescale(false, m, n, a, ld);
  // All room at once: what is square, above the rest of U; right vectors; the triangle of a tall matrix; reflectors.
  Room<T> memory(int64_t(width) * tall + side + (m > n ? side : 0) + 3 * int64_t(n));
  T *x = memory, *y = x + int64_t(width) * tall, *tau = y + side, *tau_q = tau + n, *tau_p = tau_q + n, *square = a;
  Room<R> reals(n + singular_room(n) + (kReal<T> ? 0 : 2 * side));
  R *e = reals, *room = e + n;
  Int below = ld;
  if (m > n) {
    square = tau_p + n;
    below = step;
    geqrf_shared(m, n, a, ld, tau);
    for (int64_t j = 0; j < n; ++j) {
      std::copy_n(a + j * ld, j + 1, square + j * step);
      std::fill(square + j * step + j + 1, square + (j + 1) * step, T(0));
    }
  }
  if constexpr (kReal<T>) {
    if (tiles)
      gebrd_shared(*tiles, n, square, below, s, e, tau_q, tau_p);
    else
      gebrd(n, square, below, s, e, tau_q, tau_p);
    if (Int info = singular_bidiagonal(tiles, n, s, e, x, tall, y, step, room)) return info;
  } else {
    gebrd(n, square, below, s, e, tau_q, tau_p);
    R *real_x = room + singular_room(n), *real_y = real_x + side;
    if (Int info = singular_bidiagonal(lapack_tiles<R>(), n, s, e, real_x, step, real_y, step, room)) return info;
    for (int64_t j = 0; j < n; ++j) {
      std::copy_n(real_x + j * step, n, x + j * tall);
      std::copy_n(real_y + j * step, n, y + j * step);
    }
  }
  if (Int info = turned_by_p(tiles, n, square, below, tau_p, y, step, to_w)) return info;
  const Target<T> upper = m > n ? Target<T>{x, 1, tall} : to_u;
  if (Int info = turned_by_q(tiles, n, n, n, square, below, tau_q, x, tall, upper)) return info;
  if (m > n) {
    for (int64_t j = 0; j < width; ++j) {
      std::fill(x + j * tall + (j < n ? n : 0), x + j * tall + m, T(0));
      if (j >= n) x[j * tall + j] = T(1);
    }
    if (Int info = turned_by_q(tiles, m, width, n, a, ld, tau, x, tall, to_u)) return info;
  }
  for (Int i = 0; i < n && scale != R(1); ++i) s[i] /= scale;
  return 0;
}

template Int syevd_shared(const LapackTiles<float>&, Int, float*, Int, float*, float*);
template Int syevd_shared(const LapackTiles<double>&, Int, double*, Int, double*, double*);
#define INSTANTIATE(T) \
  template Int svd_tall(bool, Int, Int, T*, Int, Real<T>*, T*, int64_t, int64_t, T*, int64_t, int64_t);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(std::complex<float>)
#undef INSTANTIATE

}  // namespace funcnn::cpu::lapack
