// Factorisations and triangular systems of matrices that lie row by row, in blocks, on as many threads as pay off. The
// cuts are fixed, so results do not depend on how many there are.
#pragma once

#include <cstdint>

#include "backends/cpu/lapack_tiles.h"

namespace funcnn::cpu {

// T: float, double.

// P A = L U in place, rows `ld` apart; pivots count from 0.
template <class T>
void lu_tiled(const LapackTiles<T>& tiles, int64_t m, int64_t n, T* a, int64_t ld, int32_t* pivots);

// B = A^-1 B with A a triangle of n rows, and k columns of B. `lower_b`: B is lower triangular, as is A.
template <class T>
void solve_tiled(const LapackTiles<T>& tiles, bool upper, bool unit, int64_t n, MatrixView<T> a, T* b, int64_t b_row,
                 int64_t k, bool lower_b = false);

// A = L L^T in place of the lower triangle; what lies above the diagonal is overwritten. The result is the first row,
// of those counted from 0, up to which A is not positive definite, or -1.
template <class T>
int64_t cholesky_tiled(const LapackTiles<T>& tiles, int64_t n, T* a, int64_t ld);

// Q C of m rows and n columns, with Q the product of k reflectors: column j of V is the vector of the j-th, from a one
// in row j on that is not written down. One of the steps of `from` is 1, and one of those of the result, which may lie
// in the same place and the same way. from null: the identity.
template <class T>
void reflect_tiled(const LapackTiles<T>& tiles, int64_t m, int64_t n, int64_t k, MatrixView<T> v, const T* tau,
                   const MatrixView<T>* from, T* to, int64_t to_row, int64_t to_column);

// Eigenvalues in place of d, in order, and eigenvectors, as rows `ld` apart, of the symmetric matrix with d on the
// diagonal and e beside it. `room`: eigen_room(n) elements. The result is LAPACK's `info`.
template <class T>
int32_t eigen_tridiagonal(const LapackTiles<T>& tiles, int64_t n, T* d, T* e, T* rows, int64_t ld, T* room);
int64_t eigen_room(int64_t n);

// Singular values in place of d, the largest first, and vectors, as rows `ldu` and `ldv` apart, of the upper bidiagonal
// matrix with d on the diagonal and e beside it. Destroys e. `tiles` may be null; `room`: singular_room(n) elements.
// The result is LAPACK's `info`.
template <class T>
int32_t singular_bidiagonal(const LapackTiles<T>* tiles, int64_t n, T* d, T* e, T* u, int64_t ldu, T* v, int64_t ldv,
                            T* room);
int64_t singular_room(int64_t n);

}  // namespace funcnn::cpu
