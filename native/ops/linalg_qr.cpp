// The QR factorisation.
#include <array>
#include <cmath>

#include "ops/join.h"
#include "ops/linalg_primitives.h"
#include "ops/linalg_rules.h"

namespace funcnn {
namespace {

Arrays qr_nodes(const std::string& op, bool complete, const Array& a) {
  int64_t m = a.dim(-2), n = a.dim(-1), k = complete ? m : std::min(m, n);
  return make_nodes(Ref<const Primitive>(new QrFactor(op, complete)), Span(&a, 1),
                    {{with_last(a, {m, k}), a.dtype()}, {with_last(a, {k, n}), a.dtype()}});
}

Array first_rows(const Array& x, int64_t n) { return slice_axis(x, int(x.ndim()) - 2, 0, n); }

// The diagonal as the real numbers it is.
Array real_diagonal(const Array& x) { return as_diagonal(astype(real(diagonal_of(x)), x.dtype())); }

}  // namespace

void QrFactor::hash(Hasher& h) const {
  MatrixPrimitive::hash(h);
  h.add(complete_);
}
std::string QrFactor::parameters() const { return described(complete_ ? "complete" : ""); }

// With k = min(m, n): A1 = Q1 R1 of the first k columns of A and of Q, R2 = Q1^H A2 of the rest of A. For A1 see S.
// Walter and L. Lehmann, "Algorithmic differentiation of linear algebra functions", 2018. Columns of Q beyond k
// complete the others to a basis; their motion is the shortest that keeps them so.

Arrays QrFactor::vjp(const VjpContext& v) const {
  const Array& a = v.inputs[0];
  int64_t k = std::min(a.dim(-1), a.dim(-2));
  if (k == 0) return {Array()};
  Array q = first_columns(v.outputs[0], k), r = first_rows(v.outputs[1], k);
  Array of_q = v.cotangents[0], of_r = v.cotangents[1];
  if (complete_ && of_q) {
    Array rest = other_columns(v.outputs[0], k);
    of_q = add(first_columns(of_q, k), complement_cotangent(q, rest, other_columns(of_q, k)));
  }
  if (of_r) of_r = first_rows(of_r, k);
  Array of_others;
  if (a.dim(-1) > k && of_r) {
    Array of_r2 = other_columns(of_r, k);
    of_q = add_or_null(of_q, dot(other_columns(a, k), adjoint(of_r2)));
    of_others = dot(q, of_r2);
    of_r = first_columns(of_r, k);
  }
  r = first_columns(r, k);
  Array inner = of_r ? dot(of_r, adjoint(r)) : Array();
  if (of_q) inner = subtract_or_null(inner, dot(adjoint(q), of_q));
  Array upper = triu(inner, 1);
  Array mirrored = add(add(upper, adjoint(upper)), real_diagonal(inner));
  Array left = add_or_null(of_q, dot(q, mirrored));
  Array of_a = triangular_solve_right(derivative_op(), adjoint(r), left, false);
  if (a.dim(-1) > k) {
    if (!of_others) of_others = zeros_like(other_columns(a, k));
    of_a = concatenate(std::array<Array, 2>{of_a, of_others}, -1);
  }
  return {of_a};
}

std::optional<Arrays> QrFactor::jvp(Span inputs, Span tangents, Span outputs) const {
  const Array& a = inputs[0];
  int64_t k = std::min(a.dim(-1), a.dim(-2));
  if (k == 0) return Arrays{Array(), Array()};
  Array q = first_columns(outputs[0], k), r = first_columns(first_rows(outputs[1], k), k);
  Array moved = triangular_solve_right(derivative_op(), r, first_columns(tangents[0], k), true);
  Array inner = dot(adjoint(q), moved);
  Array lower = tril(inner, -1);
  Array turn = subtract(lower, adjoint(lower));
  if (is_complex(a.dtype())) turn = add(turn, subtract(as_diagonal(diagonal_of(inner)), real_diagonal(inner)));
  Array of_q = add(moved, dot(q, subtract(turn, inner))), of_r = dot(subtract(inner, turn), r);
  if (a.dim(-1) > k) {
    Array others = add(dot(adjoint(of_q), other_columns(a, k)), dot(adjoint(q), other_columns(tangents[0], k)));
    of_r = concatenate(std::array<Array, 2>{of_r, others}, -1);
  }
  if (complete_) {
    Array rest = other_columns(outputs[0], k);
    of_q = concatenate(std::array<Array, 2>{of_q, complement_tangent(q, of_q, rest)}, -1);
    Array below = full(with_last(a, {a.dim(-2) - k, a.dim(-1)}), constant(0, a.dtype()));
    of_r = concatenate(std::array<Array, 2>{of_r, below}, -2);
  }
  return Arrays{of_q, of_r};
}

Batched QrFactor::batch(Span inputs, std::span<const bool>, int64_t) const {
  return {qr_nodes(op(), complete_, inputs[0]), {true, true}};
}

Qr qr(const std::string& op, const Array& a, bool complete) {
  check_matrix(op, a);
  Arrays made = qr_nodes(op, complete && a.dim(-2) > a.dim(-1), a);
  return {made[0], made[1]};
}

}  // namespace funcnn
