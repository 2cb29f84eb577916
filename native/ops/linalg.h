// Linear algebra on the last two axes of arrays; axes before them are a batch.
//
// Operands are float32, float64 or complex64, and the matrices square where it says so: the check_ functions raise
// ValueError naming `op` where they are not. Values are looked at when they are computed: a matrix that is singular,
// not positive definite or not finite raises LinAlgError, naming `op` and the place in the batch.
#pragma once

#include <string>

#include "graph/array.h"

namespace funcnn {

void check_matrix(const std::string& op, const Array& a);
void check_square(const std::string& op, const Array& a);

// The conjugate transpose.
Array adjoint(const Array& x);

// The lower factor L of A = L L^H; reads the lower triangle.
Array cholesky(const std::string& op, const Array& a);
// X of A X = B where A is triangular; reads that triangle. A and B have the same batch axes, or A has none.
Array triangular_solve(const std::string& op, const Array& a, const Array& b, bool upper, bool unit_diagonal = false);

// P A = L U of A (m x n) by partial pivoting: L (below the diagonal) and U in one matrix; the row that each step was
// exchanged with, and the rows of A in the order of P A (both uint32).
struct Lu {
  Array factors, pivots, rows;
};
Lu lu_factor(const std::string& op, const Array& a);
// X of A X = B, or of A^H X = B, by the factors of A. Batch axes as in triangular_solve. The derivative is that of the
// solution; it goes through the factors nowhere.
Array lu_solve(const std::string& op, const Array& a, const Array& b, const Lu& lu, bool transposed = false);
// X of A X = B; batch axes broadcast. A vector is one column.
Array solve(const std::string& op, const Array& a, const Array& b);
Array solve_triangular(const std::string& op, const Array& a, const Array& b, bool upper);
Array inv(const std::string& op, const Array& a);
Array inv_triangular(const std::string& op, const Array& a, bool upper);
Array det(const Array& a);
// The sign and the logarithm of the absolute value of the determinant.
struct SignedLog {
  Array sign, log;
};
SignedLog slogdet(const Array& a);

// Q and R of A = Q R; Q has as many columns as A has rows or columns, whichever is less, or all with `complete`. The
// diagonal of R is real.
struct Qr {
  Array q, r;
};
Qr qr(const std::string& op, const Array& a, bool complete);

// Eigenvalues in ascending order and eigenvectors (columns) of a symmetric or Hermitian matrix; reads the lower
// triangle.
struct Eigen {
  Array values, vectors;
};
Eigen eigh(const std::string& op, const Array& a);
Array eigvalsh(const std::string& op, const Array& a);
// Eigenvalues and eigenvectors of length 1 of any matrix, complex64.
Eigen eig(const std::string& op, const Array& a);
Array eigvals(const std::string& op, const Array& a);

// A = U diag(s) V^H, s in descending order; U and V square with `full`.
struct Svd {
  Array u, s, vh;
};
Svd svd(const std::string& op, const Array& a, bool full);
Array svdvals(const std::string& op, const Array& a);

// `value`, which is the pseudo-inverse of `a` computed in whatever way, with the derivative of one: that at constant
// rank.
Array as_pinv(const Array& a, const Array& value);
// `value` with the derivative of `stand_in`, which is computed only where that is asked for.
Array with_derivative_of(const Array& value, const Array& stand_in);

}  // namespace funcnn
