// The Cholesky factorisation, and systems of triangular matrices.
#include <array>
#include <climits>
#include <cmath>

#include "base/error.h"
#include "ops/linalg_primitives.h"
#include "ops/linalg_rules.h"

namespace funcnn {
namespace {

// The lower triangle, its diagonal halved.
Array lower_half(const Array& x) {
  int64_t n = x.dim(-1);
  Array weights = subtract(tri(n, n, 0, x.dtype()), scaled(eye_like(n, x), 0.5));
  return where(tri(n, n, 0, Dtype::bool_), multiply(x, weights), constant(0, x.dtype()));
}

Array cholesky_node(const Cholesky& p, const Array& a) {
  return make_node(Ref<const Primitive>(new Cholesky(p.op())), Span(&a, 1), a.shape(), a.dtype());
}

}  // namespace

void check_matrix(const std::string& op, const Array& a) {
  if (a.ndim() < 2)
    throw ValueError(cat(op, ": expected matrices, that is an array of at least two axes, got shape ", a.shape()));
  if (a.dtype() != Dtype::float32 && a.dtype() != Dtype::float64 && a.dtype() != Dtype::complex64)
    throw ValueError(
        cat(op, ": expected an array of float32, float64 or complex64, got ", a.dtype(), "; convert it with astype"));
  // LAPACK counts in 32 bits.
  if (a.dim(-1) > INT_MAX || a.dim(-2) > INT_MAX)
    throw ValueError(cat(op, ": matrices may have at most ", INT_MAX, " rows and columns, got shape ", a.shape()));
}

void check_square(const std::string& op, const Array& a) {
  check_matrix(op, a);
  if (a.dim(-1) != a.dim(-2)) throw ValueError(cat(op, ": expected square matrices, got shape ", a.shape()));
}

Array adjoint(const Array& x) {
  Array turned = swapaxes(x, -1, -2);
  return is_complex(x.dtype()) ? conjugate(turned) : turned;
}

// ---- Cholesky
//
// I. Murray, "Differentiation of the Cholesky decomposition", 2016. The argument stands for a symmetric (Hermitian)
// matrix: tangents are made symmetric, and so cotangents are.

Arrays Cholesky::vjp(const VjpContext& v) const {
  const Array& l = v.outputs[0];
  Array inner = hermitian_part(lower_half(dot(adjoint(l), v.cotangents[0])));
  Array left = triangular_solve(derivative_op(), adjoint(l), inner, true);
  return {triangular_solve_right(derivative_op(), l, left, false)};
}

std::optional<Arrays> Cholesky::jvp(Span, Span tangents, Span outputs) const {
  const Array& l = outputs[0];
  Array left = triangular_solve(derivative_op(), l, hermitian_part(tangents[0]), false);
  Array inner = triangular_solve_right(derivative_op(), adjoint(l), left, true);
  return Arrays{dot(l, lower_half(inner))};
}

Batched Cholesky::batch(Span inputs, std::span<const bool>, int64_t) const {
  return {{cholesky_node(*this, inputs[0])}, {true}};
}

Array cholesky(const std::string& op, const Array& a) {
  check_square(op, a);
  return cholesky_node(Cholesky(op), a);
}

// ---- triangular systems

void TriangularSolve::hash(Hasher& h) const {
  MatrixPrimitive::hash(h);
  h.add(upper_);
  h.add(unit_diagonal_);
}

std::string TriangularSolve::parameters() const {
  return described(cat(upper_ ? "upper" : "lower", unit_diagonal_ ? ", unit_diagonal" : ""));
}

// What the primitive reads of A.
Array TriangularSolve::triangle(const Array& x) const {
  int64_t beside = unit_diagonal_ ? 1 : 0;
  return upper_ ? triu(x, beside) : tril(x, -beside);
}

Arrays TriangularSolve::vjp(const VjpContext& v) const {
  Array of_b = triangular_solve(op(), adjoint(v.inputs[0]), v.cotangents[0], !upper_, unit_diagonal_);
  Array of_a = v.needed[0] ? negative(triangle(matmul(of_b, adjoint(v.outputs[0])))) : Array();
  return {of_a, of_b};
}

std::optional<Arrays> TriangularSolve::jvp(Span inputs, Span tangents, Span outputs) const {
  Array moved = tangents[0] ? matmul(triangle(tangents[0]), outputs[0]) : Array();
  return Arrays{triangular_solve(op(), inputs[0], subtract_or_null(tangents[1], moved), upper_, unit_diagonal_)};
}

Batched TriangularSolve::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  bool alone = !batched[0] && inputs[0].ndim() == 2;
  Array a = alone ? inputs[0] : with_batch_axis(inputs[0], batched[0], size);
  return {{triangular_solve(op(), a, with_batch_axis(inputs[1], batched[1], size), upper_, unit_diagonal_)}, {true}};
}

Array triangular_solve(const std::string& op, const Array& a, const Array& b, bool upper, bool unit_diagonal) {
  if (a.ndim() == 2 && b.ndim() > 2) {
    // One matrix for all: their columns are columns of one right-hand side.
    Array rows = moveaxis(b, -2, 0);
    Array x = triangular_solve(op, a, reshape(rows, {b.dim(-2), b.size() / std::max<int64_t>(b.dim(-2), 1)}), upper,
                               unit_diagonal);
    return moveaxis(reshape(x, rows.shape()), 0, -2);
  }
  const Array inputs[] = {a, b};
  return make_node(Ref<const Primitive>(new TriangularSolve(op, upper, unit_diagonal)), inputs, b.shape(), b.dtype());
}

}  // namespace funcnn
