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

}  // namespace funcnn::cpu
