// What the rules of linear algebra share.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>

#include "ops/create.h"
#include "ops/dot.h"
#include "ops/elementwise.h"
#include "ops/linalg.h"
#include "ops/reduce.h"
#include "ops/rules.h"
#include "ops/views.h"

namespace funcnn {

inline Shape with_last(const Array& a, std::initializer_list<int64_t> last) {
  Shape shape(a.shape().begin(), a.shape().end() - 2);
  for (int64_t length : last) shape.push_back(length);
  return shape;
}
inline Array eye_like(int64_t n, const Array& a) { return eye(n, n, 0, a.dtype()); }
inline Array scaled(const Array& x, double by) { return multiply(x, constant(by, x.dtype())); }
inline Array subtract_or_null(const Array& a, const Array& b) { return add_or_null(a, b ? negative(b) : b); }

// The first `n` columns, the others.
inline Array first_columns(const Array& x, int64_t n) { return slice_axis(x, int(x.ndim()) - 1, 0, n); }
inline Array other_columns(const Array& x, int64_t n) { return slice_axis(x, int(x.ndim()) - 1, n, x.dim(-1)); }

// A vector for each column, as a factor of matrices; the same for rows.
inline Array for_columns(const Array& v) { return expand_dims(v, std::array<int64_t, 1>{-2}); }
inline Array for_rows(const Array& v) { return expand_dims(v, std::array<int64_t, 1>{-1}); }
// A factor for each matrix.
inline Array for_matrices(const Array& v) { return expand_dims(v, std::array<int64_t, 2>{-2, -1}); }

// The matrices with these on the diagonal.
inline Array as_diagonal(const Array& v) { return multiply(for_columns(v), eye_like(v.dim(-1), v)); }
inline Array diagonal_of(const Array& x) { return diagonal(x, 0, -2, -1); }
inline Array without_diagonal(const Array& x) {
  return multiply(x, subtract(constant(1, x.dtype()), eye_like(x.dim(-1), x)));
}

inline Array hermitian_part(const Array& x) { return scaled(add(x, adjoint(x)), 0.5); }

// X of X A = B for a triangular A.
inline Array triangular_solve_right(const std::string& op, const Array& a, const Array& b, bool upper,
                                    bool unit_diagonal = false) {
  return adjoint(triangular_solve(op, adjoint(a), adjoint(b), !upper, unit_diagonal));
}

// The order of what rounding does to eigenvalues and singular values (n of each matrix) with the largest of these
// sizes.
inline Array rounding_of(const Array& magnitudes) {
  double epsilon = magnitudes.dtype() == Dtype::float64 ? 0x1p-52 : 0x1p-23;
  double factor = 4 * epsilon * std::sqrt(double(std::max<int64_t>(magnitudes.dim(-1), 1)));
  return scaled(max(magnitudes, AxisSet{-1}, true), factor);
}

// x with NaN where `undefined` holds.
inline Array nan_where(const Array& undefined, const Array& x) {
  return where(undefined, constant(std::numeric_limits<double>::quiet_NaN(), x.dtype()), x);
}
inline Array both(const Array& a, const Array& b) { return binary(Opcode::logical_and, a, b); }
inline Array either(const Array& a, const Array& b) { return binary(Opcode::logical_or, a, b); }
// The complement of the first columns of a square, unitary U under their motion: -U1 dU1^H U2, and the transpose of
// that.
inline Array complement_tangent(const Array& first, const Array& moved, const Array& rest) {
  return negative(dot(first, dot(adjoint(moved), rest)));
}
inline Array complement_cotangent(const Array& first, const Array& rest, const Array& of_rest) {
  return negative(dot(rest, dot(adjoint(of_rest), first)));
}

}  // namespace funcnn
