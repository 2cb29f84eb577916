#include "ops/create.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "graph/primitive.h"
#include "ops/elementwise.h"
#include "ops/pad.h"
#include "ops/reduce.h"
#include "ops/views.h"

namespace funcnn {
namespace {

class Iota final : public Primitive {
 public:
  std::string_view name() const override { return "iota"; }
  Kind kind() const override { return Kind::index; }
  Arrays vjp(const VjpContext&) const override { return {}; }
  std::optional<Arrays> jvp(Span, Span, Span) const override { return Arrays{Array()}; }
  Batched batch(Span, std::span<const bool>, int64_t) const override {
    throw Error("iota: has no inputs and cannot be mapped");
  }
};

void check_shape(const char* op, const Shape& shape) {
  for (int64_t d : shape)
    if (d < 0) throw ValueError(cat(op, ": lengths must not be negative, got ", shape));
}

// Row and column numbers that broadcast to a matrix.
Array row_numbers(int64_t rows) { return reshape(iota({rows}, Dtype::int32), {rows, 1}); }

Array number(double value, Dtype dtype) {
  return is_integer(dtype) ? constant(int64_t(value), dtype) : constant(value, dtype);
}

}  // namespace

Array iota(const Shape& shape, Dtype dtype) {
  static const Ref<const Primitive> shared(new Iota);
  return make_node(shared, {}, shape, dtype);
}

Array ones_like(const Array& x) { return ones(x.shape(), x.dtype()); }

Array arange(double start, double stop, double step, Dtype dtype) {
  if (dtype == Dtype::bool_) throw ValueError("arange: the dtype must not be bool; use an integer dtype");
  if (std::isnan(start) || std::isnan(stop) || std::isnan(step))
    throw ValueError("arange: a bound or the step is not a number");
  if (step == 0) throw ValueError("arange: the step must not be zero");
  if (is_integer(dtype)) {
    // Whole numbers throughout, as the elements will be.
    start = std::trunc(start);
    step = std::trunc(step) == 0 ? step : std::trunc(step);
  }
  double length = std::ceil((stop - start) / step);
  if (!(length < 0x1p31) && (std::isinf(length) || length > 0x1p40))
    throw ValueError(cat("arange: from ", start, " to ", stop, " by ", step, " there are too many elements"));
  int64_t count = length > 0 ? int64_t(length) : 0;
  Array out = iota({count}, dtype);
  if (step != 1) out = multiply(out, number(step, dtype));
  if (start != 0) out = add(out, number(start, dtype));
  return out;
}

Array linspace(double start, double stop, int64_t count, Dtype dtype) {
  if (count < 0) throw ValueError(cat("linspace: the number of elements must not be negative, got ", count));
  Dtype work = dtype == Dtype::float64 || is_complex(dtype) ? dtype : Dtype::float32;
  if (count == 1) return astype(full({1}, constant(start, work)), dtype);
  // Weights t and 1 - t make both ends exact.
  Array t = divide(iota({count}, work), constant(double(count - 1), work));
  Array low = multiply(subtract(constant(1, work), t), constant(start, work));
  return astype(add(low, multiply(t, constant(stop, work))), dtype);
}

Array eye(int64_t rows, int64_t columns, int64_t k, Dtype dtype) {
  check_shape("eye", {rows, columns});
  return astype(equal(add(row_numbers(rows), constant(k, Dtype::int32)), iota({columns}, Dtype::int32)), dtype);
}

Array tri(int64_t rows, int64_t columns, int64_t k, Dtype dtype) {
  check_shape("tri", {rows, columns});
  Array inside =
      binary(Opcode::greater_equal, add(row_numbers(rows), constant(k, Dtype::int32)), iota({columns}, Dtype::int32));
  return astype(inside, dtype);
}

Array tril(const Array& x, int64_t k) {
  if (x.ndim() < 2) throw ValueError(cat("tril: expected at least 2 dimensions, got shape ", x.shape()));
  return where(tri(x.dim(-2), x.dim(-1), k, Dtype::bool_), x, constant(0, x.dtype()));
}

Array triu(const Array& x, int64_t k) {
  if (x.ndim() < 2) throw ValueError(cat("triu: expected at least 2 dimensions, got shape ", x.shape()));
  return where(tri(x.dim(-2), x.dim(-1), k - 1, Dtype::bool_), constant(0, x.dtype()), x);
}

Array diagonal(const Array& x, int64_t offset, int64_t axis1, int64_t axis2) {
  if (x.ndim() < 2) throw ValueError(cat("diagonal: expected at least 2 dimensions, got shape ", x.shape()));
  int first = normalize_axis("diagonal", axis1, x.ndim()), second = normalize_axis("diagonal", axis2, x.ndim());
  if (first == second) throw ValueError(cat("diagonal: the axes must differ, got ", axis1, " and ", axis2));
  Shape order;
  for (int i = 0; i < int(x.ndim()); ++i)
    if (i != first && i != second) order.push_back(i);
  order.push_back(first);
  order.push_back(second);
  Array moved = transpose(x, order);
  int64_t n = moved.dim(-2), m = moved.dim(-1);
  int64_t length = std::max<int64_t>(0, offset >= 0 ? std::min(n, m - offset) : std::min(n + offset, m));
  // Diagonal neighbours are m + 1 apart in the flat matrix.
  Array flat = flatten(moved, -2, -1);
  Shape start(flat.ndim(), 0), stop = flat.shape(), step(flat.ndim(), 1);
  if (length > 0) {
    start.back() = offset >= 0 ? offset : -offset * m;
    step.back() = m + 1;
    stop.back() = start.back() + (length - 1) * (m + 1) + 1;
  } else {
    stop.back() = 0;
  }
  return slice(flat, start, stop, step);
}

Array diag(const Array& x, int64_t k) {
  if (x.ndim() == 2) return diagonal(x, k, 0, 1);
  if (x.ndim() != 1) throw ValueError(cat("diag: expected a vector or a matrix, got shape ", x.shape()));
  int64_t length = x.dim(0), n = length + std::abs(k);
  if (length == 0) return zeros({n, n}, x.dtype());
  const int64_t low[] = {k >= 0 ? k : -k * n}, interior[] = {n};
  const int64_t high[] = {n * n - (low[0] + (length - 1) * (n + 1) + 1)};
  return reshape(pad(x, low, high, interior, constant(0, x.dtype())), {n, n});
}

Array trace(const Array& x, int64_t offset, int64_t axis1, int64_t axis2) {
  return sum(diagonal(x, offset, axis1, axis2), AxisSet{-1}, false);
}

Arrays meshgrid(Span arrays, bool sparse, std::string_view indexing) {
  if (indexing != "xy" && indexing != "ij")
    throw ValueError(cat("meshgrid: indexing must be 'xy' or 'ij', got '", std::string(indexing), "'"));
  size_t rank = arrays.size();
  Arrays out;
  Shape shape(rank, 1);
  for (size_t i = 0; i < rank; ++i) {
    size_t axis = indexing == "xy" && rank > 1 && i < 2 ? 1 - i : i;
    Shape line(rank, 1);
    line[axis] = shape[axis] = arrays[i].size();
    out.push_back(reshape(arrays[i], line));
  }
  if (!sparse)
    for (Array& x : out) x = broadcast_to(x, shape);
  return out;
}

}  // namespace funcnn
