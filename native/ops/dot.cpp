#include "ops/dot.h"

#include <algorithm>

#include "base/error.h"
#include "graph/primitive.h"
#include "graph/trace.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/rules.h"
#include "ops/views.h"

namespace funcnn {
namespace {

// The last two axes exchanged.
Array exchanged(const Array& x) { return swapaxes(x, -1, -2); }

// Whether the columns of x lie dense and its rows do not: it is a view of a matrix with these axes exchanged.
bool lies_transposed(const Array& x) {
  if (x.dim(-1) == 1 || x.dim(-2) == 1) return false;
  Strides strides = strides_as_view(x);
  return strides[strides.size() - 2] == 1 && strides.back() != 1;
}

Shape leading(const Shape& shape) { return Shape(shape.begin(), shape.end() - 2); }

Shape with_matrix(Shape lead, int64_t rows, int64_t columns) {
  lead.push_back(rows);
  lead.push_back(columns);
  return lead;
}

class Dot final : public Primitive {
 public:
  std::string_view name() const override { return "dot"; }
  double flops(const Shape& a, const Shape& out) const override {
    return 2.0 * double(element_count(out)) * double(a.back());
  }
  bool dear() const override { return true; }

  Arrays vjp(const VjpContext& v) const override {
    const Array& ct = v.cotangents[0];
    Arrays out(2);
    if (v.needed[0]) out[0] = dot_like(ct, exchanged(conjugate(v.inputs[1])), v.inputs[0]);
    if (v.needed[1]) out[1] = dot_like(exchanged(conjugate(v.inputs[0])), ct, v.inputs[1]);
    return out;
  }

  std::optional<Arrays> jvp(Span inputs, Span tangents, Span) const override {
    Array a = tangents[0] ? dot(tangents[0], inputs[1]) : Array();
    Array b = tangents[1] ? dot(inputs[0], tangents[1]) : Array();
    return Arrays{add_or_null(a, b)};
  }

  Batched batch(Span inputs, std::span<const bool> batched, int64_t size) const override {
    const Array &a = inputs[0], &b = inputs[1];
    if (batched[0] && !batched[1] && b.ndim() == 2) {
      // One product with more rows.
      int64_t m = a.dim(1), k = a.dim(2);
      return {{reshape(dot(reshape(a, {size * m, k}), b), {size, m, b.dim(1)})}, {true}};
    }
    if (batched[1] && !batched[0] && a.ndim() == 2 && (b.dim(-1) == 1 || lies_transposed(b))) {
      // The transposed product with more rows: no copy if b lies transposed.
      int64_t n = b.dim(2), k = b.dim(1);
      Array rows = reshape(swapaxes(b, 1, 2), {size * n, k});
      return {{swapaxes(reshape(dot(rows, swapaxes(a, 0, 1)), {size, n, a.dim(0)}), 1, 2)}, {true}};
    }
    return {{dot(with_batch_axis(a, batched[0], size), with_batch_axis(b, batched[1], size))}, {true}};
  }
};

// Both operands in the dtype of the product.
std::pair<Array, Array> promoted(const char* op, const Array& a, const Array& b) {
  Dtype dtype = promote_types(a.dtype(), b.dtype());
  if (!is_inexact(dtype))
    throw ValueError(cat(op, ": is defined for floating-point and complex arrays, got ", a.dtype(), " and ", b.dtype(),
                         "; convert one with astype"));
  return {astype(a, dtype), astype(b, dtype)};
}

// Axes in `order`, those from `split` on merged into one, those before as they are or merged.
Array as_matrix(const Array& x, std::span<const int64_t> rows, std::span<const int64_t> columns) {
  Shape order;
  int64_t m = 1, n = 1;
  for (int64_t a : rows) {
    order.push_back(a);
    m *= x.shape()[size_t(a)];
  }
  for (int64_t a : columns) {
    order.push_back(a);
    n *= x.shape()[size_t(a)];
  }
  return reshape(x.ndim() ? transpose(x, order) : x, {m, n});
}

}  // namespace

Array dot(const Array& a, const Array& b) {
  int64_t m = a.dim(-2), k = a.dim(-1), n = b.dim(-1);
  Shape shape = with_matrix(leading(a.shape()), m, n);
  if (k == 0) return full(shape, constant(0, a.dtype()));
  if (k == 1) return multiply(a, b);
  if (m == 1 && n == 1) {
    // Products of two vectors are row reductions, which fuse and are summed in blocks.
    Dtype wide = is_half(a.dtype()) ? Dtype::float32 : a.dtype();
    const int last[] = {int(a.ndim()) - 1};
    Array products = multiply(astype(a, wide), astype(exchanged(b), wide));
    return astype(reduce(ReduceOp::sum, products, last, true), a.dtype());
  }
  static const Ref<const Primitive> shared(new Dot);
  const Array inputs[] = {a, b};
  return make_node(shared, inputs, std::move(shape), a.dtype());
}

Array dot_like(const Array& a, const Array& b, const Array& like) {
  return lies_transposed(like) ? exchanged(dot(exchanged(b), exchanged(a))) : dot(a, b);
}

Array matmul(const Array& first, const Array& second) {
  if (first.ndim() == 0 || second.ndim() == 0)
    throw ValueError(cat("matmul: expected at least one dimension, got shapes ", first.shape(), " and ", second.shape(),
                         "; use multiply for scalars"));
  auto [a, b] = promoted("matmul", first, second);
  int64_t ka = a.dim(-1), kb = b.dim(b.ndim() == 1 ? -1 : -2);
  if (ka != kb)
    throw ValueError(cat("matmul: the last axis of the first argument (size ", ka, ") must match the ",
                         b.ndim() == 1 ? "only" : "second-to-last", " axis of the second (size ", kb, "); shapes ",
                         first.shape(), " and ", second.shape()));
  bool vector_a = a.ndim() == 1, vector_b = b.ndim() == 1;
  if (vector_a) a = reshape(a, {1, ka});
  if (vector_b) b = reshape(b, {kb, 1});
  Shape lead = a.ndim() == 2   ? leading(b.shape())
               : b.ndim() == 2 ? leading(a.shape())
                               : broadcast_shapes("matmul", leading(a.shape()), leading(b.shape()));
  int64_t m = a.dim(-2), n = b.dim(-1);
  Array out;
  // One matrix for all: fold the leading axes into the rows, unless that would copy a transposed operand. The gradient
  // of the matrix is then a sum over products, no larger than the copy if n <= m.
  if (b.ndim() == 2 && a.ndim() > 2 && !(n <= m && lies_transposed(a))) {
    out = dot(reshape(a, {element_count(lead) * m, ka}), b);
  } else {
    out = dot(broadcast_to(a, with_matrix(lead, m, ka)), broadcast_to(b, with_matrix(lead, ka, n)));
  }
  Shape shape = lead;
  if (!vector_a) shape.push_back(m);
  if (!vector_b) shape.push_back(n);
  return reshape(out, std::move(shape));
}

Array addmm(const Array& c, const Array& a, const Array& b, double alpha, double beta) {
  if (a.ndim() == 0 || b.ndim() == 0)
    throw ValueError(
        cat("addmm: expected matrices of at least one dimension, got shapes ", a.shape(), " and ", b.shape()));
  Dtype dtype = promote_types(promote_types(a.dtype(), b.dtype()), c.dtype());
  if (!is_inexact(dtype))
    throw ValueError(cat("addmm: is defined for floating-point and complex arrays, got ", c.dtype(), ", ", a.dtype(),
                         " and ", b.dtype(), "; convert one with astype"));
  Array product = matmul(astype(a, dtype), astype(b, dtype)), bias = astype(c, dtype);
  Shape shape = broadcast_shapes("addmm", product.shape(), bias.shape());
  if (shape != product.shape())
    throw ValueError(
        cat("addmm: an array of shape ", c.shape(), " cannot be added to a product of shape ", product.shape()));
  // A factor of zero leaves its term out, infinities and NaN included, as in BLAS.
  if (alpha == 0 && beta == 0) return full(shape, constant(0, dtype));
  if (alpha != 1) product = multiply(product, constant(alpha, dtype));
  if (beta == 0) return product;
  if (beta != 1) bias = multiply(bias, constant(beta, dtype));
  return alpha == 0 ? broadcast_to(bias, shape) : add(product, bias);
}

Array tensordot(const Array& first, const Array& second, std::span<const int64_t> axes_a,
                std::span<const int64_t> axes_b, const char* op) {
  if (axes_a.size() != axes_b.size())
    throw ValueError(cat(op, ": expected as many axes of the first argument as of the second, got ", axes_a.size(),
                         " and ", axes_b.size()));
  Shape contract_a, contract_b, free_a, free_b, shape;
  for (size_t i = 0; i < axes_a.size(); ++i) {
    int x = normalize_axis(op, axes_a[i], first.ndim()), y = normalize_axis(op, axes_b[i], second.ndim());
    if (first.dim(x) != second.dim(y))
      throw ValueError(cat(op, ": axis ", x, " of the first argument (size ", first.dim(x), ") must match axis ", y,
                           " of the second (size ", second.dim(y), "); shapes ", first.shape(), " and ",
                           second.shape()));
    contract_a.push_back(x);
    contract_b.push_back(y);
  }
  auto rest = [&](const Array& x, const Shape& used, Shape& free) {
    for (int64_t i = 0; i < int64_t(x.ndim()); ++i) {
      if (std::find(used.begin(), used.end(), i) != used.end()) continue;
      free.push_back(i);
      shape.push_back(x.shape()[size_t(i)]);
    }
    if (free.size() + used.size() != x.ndim()) throw ValueError(cat(op, ": an axis is named twice"));
  };
  rest(first, contract_a, free_a);
  rest(second, contract_b, free_b);
  if (contract_a.empty() && !is_inexact(promote_types(first.dtype(), second.dtype()))) {
    Array rows = as_matrix(first, free_a, contract_a), columns = as_matrix(second, contract_b, free_b);
    return reshape(multiply(rows, columns), shape);
  }
  auto [a, b] = promoted(op, first, second);
  return reshape(dot(as_matrix(a, free_a, contract_a), as_matrix(b, contract_b, free_b)), shape);
}

Array tensordot(const Array& a, const Array& b, int64_t axes) {
  if (axes < 0 || axes > int64_t(std::min(a.ndim(), b.ndim())))
    throw ValueError(
        cat("tensordot: cannot contract ", axes, " axes of arrays of shapes ", a.shape(), " and ", b.shape()));
  Shape of_a, of_b;
  for (int64_t i = 0; i < axes; ++i) {
    of_a.push_back(int64_t(a.ndim()) - axes + i);
    of_b.push_back(i);
  }
  return tensordot(a, b, of_a, of_b);
}

Array inner(const Array& a, const Array& b) {
  if (a.ndim() == 0 || b.ndim() == 0) return multiply(a, b);
  if (a.dim(-1) != b.dim(-1))
    throw ValueError(cat("inner: the last axes must match, got shapes ", a.shape(), " and ", b.shape()));
  const int64_t last_a[] = {int64_t(a.ndim()) - 1}, last_b[] = {int64_t(b.ndim()) - 1};
  return tensordot(a, b, last_a, last_b, "inner");
}

Array outer(const Array& a, const Array& b) { return multiply(reshape(a, {a.size(), 1}), reshape(b, {1, b.size()})); }

Array vecdot(const Array& a, const Array& b, int64_t axis) {
  auto moved = [&](const Array& x) { return moveaxis(x, axis, -1); };
  Array x = moved(a), y = moved(b);
  if (x.dim(-1) != y.dim(-1))
    throw ValueError(
        cat("vecdot: axis ", axis, " must have the same length in both, got shapes ", a.shape(), " and ", b.shape()));
  return sum(multiply(conjugate(x), y), AxisSet{-1}, false);
}

Array kron(const Array& a, const Array& b) {
  size_t rank = std::max(a.ndim(), b.ndim());
  Shape left, right, out;
  for (size_t i = 0; i < rank; ++i) {
    int64_t n = i + a.ndim() >= rank ? a.shape()[i + a.ndim() - rank] : 1;
    int64_t m = i + b.ndim() >= rank ? b.shape()[i + b.ndim() - rank] : 1;
    for (int64_t d : {n, int64_t(1)}) left.push_back(d);
    for (int64_t d : {int64_t(1), m}) right.push_back(d);
    out.push_back(n * m);
  }
  return reshape(multiply(reshape(a, left), reshape(b, right)), out);
}

}  // namespace funcnn
