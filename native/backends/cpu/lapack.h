// The routines of LAPACK that kernels call, one signature for all element types. Matrices lie column by column, `ld`
// apart. Each call runs on the calling thread alone. The result is LAPACK's `info`: 0, or what went wrong.
#pragma once

#include <complex>
#include <cstdint>

namespace funcnn::cpu {
template <class T>
struct LapackTiles;
}

namespace funcnn::cpu::lapack {

using Int = int32_t;

template <class T>
struct RealOf {
  using type = T;
};
template <class T>
struct RealOf<std::complex<T>> {
  using type = T;
};
template <class T>
using Real = typename RealOf<T>::type;

// T: float, double, std::complex<float>.

// A = U^H U of the upper, or L L^H of the lower triangle.
template <class T>
Int potrf(char uplo, Int n, T* a, Int ld);
template <class T>
Int getrf(Int m, Int n, T* a, Int ld, Int* pivots);
// The inverse from the factors of getrf.
template <class T>
Int getri(Int n, T* a, Int ld, const Int* pivots);
// R, and below it the reflectors of Q.
template <class T>
Int geqrf(Int m, Int n, T* a, Int ld, T* tau);
// The first n columns of the product of k reflectors.
template <class T>
Int orgqr(Int m, Int n, Int k, T* a, Int ld, const T* tau);
// Eigenvalues, and with job 'V' eigenvectors in place of a Hermitian matrix.
template <class T>
Int syevd(char job, char uplo, Int n, T* a, Int ld, Real<T>* w);
// Singular values; job 'A': U and V^H square, 'S': as many as there are values, 'N': none. Destroys a. With vectors,
// for at most kIterated values: of more, LAPACK takes neighbours for equal.
constexpr Int kIterated = 25;
template <class T>
Int gesdd(char job, Int m, Int n, T* a, Int ld, Real<T>* s, T* u, Int ldu, T* vh, Int ldv);
// Eigenvalues and right eigenvectors (v null: without) as complex numbers. Destroys a.
template <class T>
Int geev(Int n, T* a, Int ld, std::complex<Real<T>>* w, std::complex<Real<T>>* v);

// The same as getrf, geqrf and orgqr, on as many threads as pay off.
template <class T>
Int getrf_shared(Int m, Int n, T* a, Int ld, Int* pivots);
template <class T>
void geqrf_shared(Int m, Int n, T* a, Int ld, T* tau);
template <class T>
void orgqr_shared(Int m, Int n, Int k, T* a, Int ld, const T* tau);

// A (n x n) = Q B P^H: B is upper bidiagonal; Q's reflectors lie below, those of P above the diagonal, one column on.
template <class T>
Int gebrd(Int n, T* a, Int ld, Real<T>* d, Real<T>* e, T* tau_q, T* tau_p);
// C = Q C of m rows and n columns, with k reflectors of geqrf; C = P C of a square matrix, with those of gebrd.
template <class T>
Int ormqr(Int m, Int n, Int k, const T* a, Int ld, const T* tau, T* c, Int ldc);
template <class T>
Int ormbr_p(Int n, const T* a, Int ld, const T* tau, T* c, Int ldc);
// A (m x n, m >= n) = U diag(s) W^T, U of m or n columns; elements (i, j) of U and W at i * row + j * column, one of
// which is 1. On as many threads as pay off. Destroys a.
template <class T>
Int svd_tall(bool full, Int m, Int n, T* a, Int ld, Real<T>* s, T* u, int64_t u_row, int64_t u_column, T* w,
             int64_t w_row, int64_t w_column);

// The rest is for float and double.

// A (its lower triangle) = Q T Q^T: T is tridiagonal, with diagonal d and e beside; Q is the product of n - 1
// reflectors that lie below the diagonal of A, one row down.
template <class T>
Int sytrd(Int n, T* a, Int ld, T* d, T* e, T* tau);
// Eigenvalues in place of d, and eigenvectors, of a small tridiagonal matrix. Destroys e.
template <class T>
Int steqr(Int n, T* d, T* e, T* z, Int ldz);
// Eigenvalue i, counted from 1, of diag(d) + rho z z^T, whose d ascend, and how far those are from it.
template <class T>
Int laed4(Int n, Int i, const T* d, const T* z, T* delta, T rho, T* value);
// Singular value i, counted from 1, of the matrix with d on its diagonal, the first of which is 0 and which ascend, and
// sqrt(rho) z in its first row: how far those are from it, and their sums with it.
template <class T>
Int lasd4(Int n, Int i, const T* d, const T* z, T* delta, T rho, T* value, T* sums);
// Singular values in place of d, the least first, of a small upper bidiagonal matrix of n rows, and one more column
// if `wider`: B = Q S P^T, and U becomes U Q and VT P^T VT. Destroys e.
template <class T>
Int lasdq(Int wider, Int n, T* d, T* e, T* vt, Int ldvt, T* u, Int ldu);
// sytrd and gebrd on as many threads as pay off.
template <class T>
void sytrd_shared(const LapackTiles<T>& tiles, Int n, T* a, Int ld, T* d, T* e, T* tau);
template <class T>
void gebrd_shared(const LapackTiles<T>& tiles, Int n, T* a, Int ld, T* d, T* e, T* tau_q, T* tau_p);
// The reflector that makes (alpha, x) a multiple of the first unit vector, which alpha becomes; 1, x is its vector.
template <class T>
void larfg(Int n, T* alpha, T* x, T* tau);
// The same as syevd with vectors, which lie by rows of the matrix of them, on as many threads as pay off.
template <class T>
Int syevd_shared(const LapackTiles<T>& tiles, Int n, T* a, Int ld, T* w, T* rows);

}  // namespace funcnn::cpu::lapack
