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

// Whether the element (row, column) of a matrix lies on (Opcode::equal) or on and below diagonal k, where column - row
// is k.
Array by_diagonal(const char* op, Opcode test, int64_t rows, int64_t columns, int64_t k) {
  check_shape(op, {rows, columns});
  // Diagonals outside the matrix are all alike.
  k = std::clamp<int64_t>(k, -rows, columns);
  Dtype dtype = rows + columns < int64_t(1) << 31 ? Dtype::int32 : Dtype::int64;
  Array row = reshape(iota({rows}, dtype), {rows, 1});
  return binary(test, k ? add(row, constant(k, dtype)) : row, iota({columns}, dtype));
}

// How many steps there are from start to stop.
int64_t arange_count(double start, double stop, double step) {
  double length = std::ceil((stop - start) / step);
  // A step so large that the quotient vanishes still leaves the start.
  if (length == 0 && (step > 0 ? start < stop : start > stop)) length = 1;
  if (std::isnan(length) || length > 0x1p40)
    throw ValueError(cat("arange: from ", start, " to ", stop, " by ", step, " there are too many elements"));
  return length > 0 ? int64_t(length) : 0;
}

template <class T>
Array arange_of(int64_t count, T start, T step, Dtype dtype) {
  Array out = iota({count}, dtype);
  if (count > 1 && step != 1) out = multiply(out, constant(step, dtype));
  if (start != 0) out = add(out, constant(start, dtype));
  return out;
}

void check_arange_dtype(Dtype dtype) {
  if (dtype == Dtype::bool_) throw ValueError("arange: the dtype must not be bool; use an integer dtype");
}

int64_t linspace_divisor(int64_t count, bool endpoint) {
  if (count < 0) throw ValueError(cat("linspace: the number of elements must not be negative, got ", count));
  return std::max<int64_t>(endpoint ? count - 1 : count, 1);
}

}  // namespace

Array iota(const Shape& shape, Dtype dtype) {
  static const Ref<const Primitive> shared(new Iota);
  return make_node(shared, {}, shape, dtype);
}

Array ones_like(const Array& x) { return ones(x.shape(), x.dtype()); }

Array arange(double start, double stop, double step, Dtype dtype) {
  check_arange_dtype(dtype);
  if (std::isnan(start) || std::isnan(stop) || std::isnan(step))
    throw ValueError("arange: a bound or the step is not a number");
  if (step == 0) throw ValueError("arange: the step must not be zero");
  if (is_integer(dtype)) {
    // Whole numbers throughout, as the elements will be.
    start = std::trunc(start);
    step = std::trunc(step) == 0 ? step : std::trunc(step);
  }
  int64_t count = arange_count(start, stop, step);
  if (!is_integer(dtype)) return arange_of(count, start, count > 1 ? step : 1, dtype);
  for (double end : {start, start + double(count - 1) * step})
    if (count > 0 && std::abs(end) >= 0x1p63)
      throw ValueError(cat("arange: the element ", end, " does not fit int64, in which elements are counted"));
  return arange_of(count, int64_t(start), count > 1 ? int64_t(step) : 1, dtype);
}

Array arange(int64_t start, int64_t stop, int64_t step, Dtype dtype) {
  check_arange_dtype(dtype);
  if (step == 0) throw ValueError("arange: the step must not be zero");
  bool up = step > 0;
  if (up ? start >= stop : start <= stop) return iota({0}, dtype);
  // Unsigned, since the way may be longer than an int64 counts.
  uint64_t way = up ? uint64_t(stop) - uint64_t(start) : uint64_t(start) - uint64_t(stop);
  uint64_t count = (way - 1) / (up ? uint64_t(step) : -uint64_t(step)) + 1;
  if (count > uint64_t(1) << 40)
    throw ValueError(cat("arange: from ", start, " to ", stop, " by ", step, " there are too many elements"));
  return arange_of(int64_t(count), start, step, dtype);
}

Array linspace(double start, double stop, int64_t count, bool endpoint, Dtype dtype) {
  int64_t divisor = linspace_divisor(count, endpoint);
  bool whole = is_integer(dtype);
  Dtype work = whole || dtype == Dtype::float64 ? Dtype::float64 : is_complex(dtype) ? dtype : Dtype::float32;
  if (count == 1) return astype(full({1}, constant(whole ? std::floor(start) : start, work)), dtype);
  // Weights t and 1 - t make both ends exact.
  Array t = divide(iota({count}, work), constant(double(divisor), work));
  Array low = multiply(subtract(constant(1, work), t), constant(start, work));
  Array out = add(low, multiply(t, constant(stop, work)));
  return astype(whole ? unary(Opcode::floor, out) : out, dtype);
}

Array linspace(int64_t start, int64_t stop, int64_t count, bool endpoint, Dtype dtype) {
  if (!is_integer(dtype)) return linspace(double(start), double(stop), count, endpoint, dtype);
  int64_t divisor = linspace_divisor(count, endpoint), span = int64_t(uint64_t(stop) - uint64_t(start));
  if (std::abs(double(stop) - double(start)) >= 0x1p63 || divisor >= int64_t(1) << 31)
    throw ValueError(cat("linspace: the range from ", start, " to ", stop, " is too wide for exact integers"));
  // start + floor(i * span / divisor), in whole and broken steps, so that no product leaves int64.
  int64_t step = span / divisor, rest = span % divisor;
  if (rest < 0) {
    --step;
    rest += divisor;
  }
  auto number = [](int64_t value) { return constant(value, Dtype::int64); };
  Array i = iota({count}, Dtype::int64), out = add(multiply(i, number(step)), number(start));
  if (rest) out = add(out, binary(Opcode::floor_divide, multiply(i, number(rest)), number(divisor)));
  return astype(out, dtype);
}

Array eye(int64_t rows, int64_t columns, int64_t k, Dtype dtype) {
  return astype(by_diagonal("eye", Opcode::equal, rows, columns, k), dtype);
}

Array tri(int64_t rows, int64_t columns, int64_t k, Dtype dtype) {
  return astype(by_diagonal("tri", Opcode::greater_equal, rows, columns, k), dtype);
}

Array tril(const Array& x, int64_t k) {
  if (x.ndim() < 2) throw ValueError(cat("tril: expected at least 2 dimensions, got shape ", x.shape()));
  return where(tri(x.dim(-2), x.dim(-1), k, Dtype::bool_), x, constant(0, x.dtype()));
}

Array triu(const Array& x, int64_t k) {
  if (x.ndim() < 2) throw ValueError(cat("triu: expected at least 2 dimensions, got shape ", x.shape()));
  // Below the lowest diagonal there is nothing, however far.
  int64_t below = std::max(k, -x.dim(-2)) - 1;
  return where(tri(x.dim(-2), x.dim(-1), below, Dtype::bool_), constant(0, x.dtype()), x);
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
  offset = std::clamp(offset, -n, m);
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
  // The square of its length must be countable.
  constexpr int64_t widest = int64_t(1) << 31;
  if (x.dim(0) > widest || k > widest || k < -widest)
    throw ValueError(cat("diag: a matrix with ", x.dim(0), " elements on diagonal ", k, " is too large"));
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
