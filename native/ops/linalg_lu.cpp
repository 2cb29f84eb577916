// The LU factorisation and what is computed by it: solutions, inverses, determinants.
#include <array>
#include <cmath>

#include "base/error.h"
#include "ops/gather.h"
#include "ops/join.h"
#include "ops/linalg_primitives.h"
#include "ops/linalg_rules.h"

namespace funcnn {
namespace {

Arrays lu_nodes(const std::string& op, const Array& a) {
  Shape pivots = with_last(a, {std::min(a.dim(-1), a.dim(-2))}), rows = with_last(a, {a.dim(-2)});
  return make_nodes(Ref<const Primitive>(new LuFactor(op)), Span(&a, 1),
                    {{a.shape(), a.dtype()}, {pivots, Dtype::uint32}, {rows, Dtype::uint32}});
}

// The factors as square matrices, m x m and n x n, completed by the identity: whatever the shape of A, the products of
// the rules are then those of a square one.
struct SquareFactors {
  Array l, u;
};
SquareFactors square_factors(const Array& factors) {
  int64_t m = factors.dim(-2), n = factors.dim(-1), k = std::min(m, n);
  Array l = tril(first_columns(factors, k), -1);
  Array u = triu(slice_axis(factors, int(factors.ndim()) - 2, 0, k), 0);
  if (m > k) l = concatenate(std::array<Array, 2>{l, full(with_last(l, {m, m - k}), constant(0, l.dtype()))}, -1);
  l = add(l, eye_like(m, l));
  if (n > k) {
    Array below = broadcast_to(eye(n - k, n, k, u.dtype()), with_last(u, {n - k, n}));
    u = concatenate(std::array<Array, 2>{u, below}, -2);
  }
  return {l, u};
}

// The rows of x in the order of `rows`; and back.
Array in_order(const Array& x, const Array& rows) { return take_along_axis(x, for_rows(rows), -2); }
Array out_of_order(const Array& x, const Array& rows) {
  return put_along_axis(zeros_like(x), broadcast_to(for_rows(rows), x.shape()), x, -2);
}

}  // namespace

// ---- LU

Arrays LuFactor::vjp(const VjpContext& v) const {
  if (!v.cotangents[0]) return {Array()};
  auto [l, u] = square_factors(v.outputs[0]);
  const Array& ct = v.cotangents[0];
  Array inner = add(tril(dot(adjoint(l), ct), -1), triu(dot(ct, adjoint(u)), 0));
  Array left = triangular_solve(derivative_op(), adjoint(l), inner, true, true);
  return {out_of_order(triangular_solve_right(derivative_op(), adjoint(u), left, false), v.outputs[2])};
}

std::optional<Arrays> LuFactor::jvp(Span, Span tangents, Span outputs) const {
  auto [l, u] = square_factors(outputs[0]);
  Array left = triangular_solve(derivative_op(), l, in_order(tangents[0], outputs[2]), false, true);
  Array inner = triangular_solve_right(derivative_op(), u, left, true);
  return Arrays{add(dot(l, tril(inner, -1)), dot(triu(inner, 0), u)), Array(), Array()};
}

Batched LuFactor::batch(Span inputs, std::span<const bool>, int64_t) const {
  return {lu_nodes(op(), inputs[0]), {true, true, true}};
}

Lu lu_factor(const std::string& op, const Array& a) {
  check_matrix(op, a);
  Arrays made = lu_nodes(op, a);
  return {made[0], made[1], made[2]};
}

// ---- solutions

void LuSolve::hash(Hasher& h) const {
  MatrixPrimitive::hash(h);
  h.add(transposed_);
}
std::string LuSolve::parameters() const { return described(transposed_ ? "transposed" : ""); }

Arrays LuSolve::vjp(const VjpContext& v) const {
  Lu lu{v.inputs[2], {}, v.inputs[3]};
  Array of_b = lu_solve(op(), v.inputs[0], v.cotangents[0], lu, !transposed_), of_a;
  if (v.needed[0])
    of_a = negative(transposed_ ? matmul(v.outputs[0], adjoint(of_b)) : matmul(of_b, adjoint(v.outputs[0])));
  return {of_a, of_b, Array(), Array()};
}

std::optional<Arrays> LuSolve::jvp(Span inputs, Span tangents, Span outputs) const {
  Array moved;
  if (tangents[0]) moved = matmul(transposed_ ? adjoint(tangents[0]) : tangents[0], outputs[0]);
  Lu lu{inputs[2], {}, inputs[3]};
  return Arrays{lu_solve(op(), inputs[0], subtract_or_null(tangents[1], moved), lu, transposed_)};
}

Batched LuSolve::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  bool alone = !batched[0] && !batched[2] && !batched[3] && inputs[0].ndim() == 2;
  auto at = [&](size_t i) { return alone && i != 1 ? inputs[i] : with_batch_axis(inputs[i], batched[i], size); };
  return {{lu_solve(op(), at(0), at(1), Lu{at(2), {}, at(3)}, transposed_)}, {true}};
}

Array lu_solve(const std::string& op, const Array& a, const Array& b, const Lu& lu, bool transposed) {
  if (a.ndim() == 2 && b.ndim() > 2) {
    Array rows = moveaxis(b, -2, 0);
    Array x = lu_solve(op, a, reshape(rows, {b.dim(-2), b.size() / std::max<int64_t>(b.dim(-2), 1)}), lu, transposed);
    return moveaxis(reshape(x, rows.shape()), 0, -2);
  }
  const Array inputs[] = {a, b, lu.factors, lu.rows};
  return make_node(Ref<const Primitive>(new LuSolve(op, transposed)), inputs, b.shape(), b.dtype());
}

namespace {

// A system of equations as it is solved: operands of one dtype, the right-hand side as columns.
struct System {
  Array a, b;
  bool vector;
  Shape lead;  // of both, broadcast; of matrices without a batch, that of the right-hand side

  System(const std::string& op, const Array& first, const Array& second) {
    Dtype dtype = promote_types(first.dtype(), second.dtype());
    if (!is_inexact(dtype) || is_half(dtype) || is_half(first.dtype()) || is_half(second.dtype()))
      throw ValueError(cat(op, ": expected arrays of float32, float64 or complex64, got ", first.dtype(), " and ",
                           second.dtype(), "; convert them with astype"));
    a = astype(first, dtype);
    b = astype(second, dtype);
    check_square(op, a);
    if (b.ndim() == 0) throw ValueError(cat(op, ": the right-hand side must be a vector or matrices, got a number"));
    vector = b.ndim() == 1;
    if (b.dim(vector ? -1 : -2) != a.dim(-1))
      throw ValueError(cat(op, ": matrices of shape ", a.shape(), " need a right-hand side with ", a.dim(-1),
                           vector ? " elements" : " rows", ", got shape ", b.shape(),
                           b.ndim() + 1 == a.ndim() && b.dim(-1) == a.dim(-1)
                               ? "; a vector for each matrix needs one more axis: b[..., None]"
                               : ""));
    if (vector) b = reshape(b, {b.dim(0), 1});
    Shape lead_a(a.shape().begin(), a.shape().end() - 2), lead_b(b.shape().begin(), b.shape().end() - 2);
    lead = a.ndim() > 2 ? broadcast_shapes(op.c_str(), lead_a, lead_b) : lead_b;
  }
  // The last `own` axes of x, which belongs to the matrices (or is the right-hand side), for each of the batch.
  Array spread(const Array& x, size_t own) const {
    if (a.ndim() == 2) return x;
    Shape shape = lead;
    for (size_t i = x.ndim() - own; i < x.ndim(); ++i) shape.push_back(x.shape()[i]);
    return broadcast_to(x, shape);
  }
  Array result(const Array& x) const { return vector ? squeeze(x, std::array<int64_t, 1>{-1}) : x; }
};

}  // namespace

Array solve(const std::string& op, const Array& a, const Array& b) {
  System s(op, a, b);
  Lu lu = lu_factor(op, s.a);
  return s.result(
      lu_solve(op, s.spread(s.a, 2), s.spread(s.b, 2), {s.spread(lu.factors, 2), {}, s.spread(lu.rows, 1)}));
}

Array solve_triangular(const std::string& op, const Array& a, const Array& b, bool upper) {
  System s(op, a, b);
  return s.result(triangular_solve(op, s.spread(s.a, 2), s.spread(s.b, 2), upper));
}

Array inv_triangular(const std::string& op, const Array& a, bool upper) {
  check_square(op, a);
  return triangular_solve(op, a, broadcast_to(eye_like(a.dim(-1), a), a.shape()), upper);
}

Array inv(const std::string& op, const Array& a) {
  check_square(op, a);
  return lu_solve(op, a, broadcast_to(eye_like(a.dim(-1), a), a.shape()), lu_factor(op, a));
}

// ---- determinants

namespace {

Array adjugate_node(const std::string& op, const Array& a) {
  return make_node(Ref<const Primitive>(new Adjugate(op)), Span(&a, 1), a.shape(), a.dtype());
}

// Up to three rows the cofactors are polynomials to write down, with derivatives of every order.
Array adjugate(const std::string& op, const Array& a) {
  int64_t n = a.dim(-1);
  if (n > 3) return adjugate_node(op, a);
  auto at = [&](int64_t i, int64_t j) {
    int rank = int(a.ndim());
    return slice_axis(slice_axis(a, rank - 2, i, i + 1), rank - 1, j, j + 1);
  };
  auto cofactor = [&](int64_t i, int64_t j) -> Array {
    if (n == 1) return full(with_last(a, {1, 1}), constant(1, a.dtype()));
    if (n == 2) return (i + j) % 2 ? negative(at(1 - i, 1 - j)) : at(1 - i, 1 - j);
    int64_t i1 = (i + 1) % 3, i2 = (i + 2) % 3, j1 = (j + 1) % 3, j2 = (j + 2) % 3;  // cyclic: signs come out right
    return subtract(multiply(at(i1, j1), at(i2, j2)), multiply(at(i1, j2), at(i2, j1)));
  };
  Arrays rows;
  for (int64_t j = 0; j < n; ++j) {
    Arrays row;
    for (int64_t i = 0; i < n; ++i) row.push_back(cofactor(i, j));
    rows.push_back(concatenate(row, -1));
  }
  return n ? concatenate(rows, -2) : a;
}

// Inputs: the matrices and their determinants, which it repeats.
class Determinant final : public Primitive {
 public:
  std::string_view name() const override { return "det"; }
  Kind kind() const override { return Kind::alias; }
  int alias_of(int) const override { return 1; }
  int derivative_inputs() const override { return 1; }
  Arrays vjp(const VjpContext& v) const override {
    return {multiply(for_matrices(v.cotangents[0]), adjoint(adjugate("det (derivative)", v.inputs[0]))), Array()};
  }
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span) const override {
    Array turned = swapaxes(adjugate("det (derivative)", inputs[0]), -1, -2);
    return Arrays{sum(multiply(turned, tangents[0]), AxisSet{-2, -1}, false)};
  }
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;
};

Array determinant_node(const Array& a, const Array& value) {
  static const Ref<const Primitive> shared(new Determinant);
  const Array inputs[] = {a, value};
  return make_node(shared, inputs, value.shape(), value.dtype());
}

Batched Determinant::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  return {
      {determinant_node(with_batch_axis(inputs[0], batched[0], size), with_batch_axis(inputs[1], batched[1], size))},
      {true}};
}

// Inputs: the matrices, log |det| of them, which it repeats, and the factors and rows of lu_factor.
class LogDeterminant final : public Primitive {
 public:
  std::string_view name() const override { return "logdet"; }
  Kind kind() const override { return Kind::alias; }
  int alias_of(int) const override { return 1; }
  int derivative_inputs() const override { return 1; }
  Arrays vjp(const VjpContext& v) const override {
    return {multiply(for_matrices(v.cotangents[0]), adjoint(inverse(v.inputs))), Array(), Array(), Array()};
  }
  std::optional<Arrays> jvp(Span inputs, Span tangents, Span) const override {
    Array along = sum(multiply(swapaxes(inverse(inputs), -1, -2), tangents[0]), AxisSet{-2, -1}, false);
    return Arrays{real(along)};
  }
  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override;

 private:
  static Array inverse(Span inputs) {
    const Array& a = inputs[0];
    return lu_solve("slogdet (derivative)", a, broadcast_to(eye_like(a.dim(-1), a), a.shape()),
                    {inputs[2], {}, inputs[3]});
  }
};

Array log_determinant_node(Span inputs) {
  static const Ref<const Primitive> shared(new LogDeterminant);
  return make_node(shared, inputs, inputs[1].shape(), inputs[1].dtype());
}

Batched LogDeterminant::batch(Span inputs, std::span<const bool> batched, int64_t size) const {
  Arrays with;
  for (size_t i = 0; i < inputs.size(); ++i) with.push_back(with_batch_axis(inputs[i], batched[i], size));
  return {{log_determinant_node(with)}, {true}};
}

// 1 or -1: whether the exchanges of rows are even or odd in number.
Array parity(const Lu& lu, Dtype dtype) {
  Array own = iota({lu.pivots.dim(-1)}, Dtype::uint32);
  Array exchanged = astype(binary(Opcode::not_equal, lu.pivots, own), Dtype::int32);
  Array odd = binary(Opcode::bitwise_and, sum(exchanged, AxisSet{-1}, false), constant(1, Dtype::int32));
  return astype(subtract(constant(1, Dtype::int32), multiply(constant(2, Dtype::int32), odd)), dtype);
}

}  // namespace

// det(A)^{-1} A times the derivative of det(A), less A^-1 dA adj(A).
Arrays Adjugate::vjp(const VjpContext& v) const {
  Array turned = adjoint(inv(derivative_op(), v.inputs[0]));
  const Array &ct = v.cotangents[0], &adj = v.outputs[0];
  Array along = sum(multiply(conjugate(adj), ct), AxisSet{-2, -1}, true);
  return {subtract(multiply(along, turned), dot(turned, dot(ct, adjoint(adj))))};
}

Batched Adjugate::batch(Span inputs, std::span<const bool>, int64_t) const {
  return {{adjugate_node(op(), inputs[0])}, {true}};
}

Array det(const Array& a) {
  check_square("det", a);
  Lu lu = lu_factor("det", a);
  Array value = multiply(prod(diagonal_of(lu.factors), AxisSet{-1}, false), parity(lu, a.dtype()));
  return determinant_node(a, value);
}

SignedLog slogdet(const Array& a) {
  check_square("slogdet", a);
  Lu lu = lu_factor("slogdet", a);
  Array pivots = diagonal_of(lu.factors);
  Array phase;
  if (is_complex(a.dtype())) {
    Array size = abs(pivots), zero = equal(size, constant(0, size.dtype()));
    phase = divide(pivots, astype(where(zero, constant(1, size.dtype()), size), pivots.dtype()));
  } else {
    phase = sign(pivots);
  }
  Array sign = multiply(prod(phase, AxisSet{-1}, false), parity(lu, a.dtype()));
  Array log_size = sum(log(abs(pivots)), AxisSet{-1}, false);
  const Array inputs[] = {a, log_size, lu.factors, lu.rows};
  return {sign, log_determinant_node(inputs)};
}

}  // namespace funcnn
