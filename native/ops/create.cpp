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

// Elements of integer dtypes are counted modulo 2^64, so that those at the ends of the range come out right.
Array number(Integer value, Dtype dtype) {
  bool wide = !value.negative && value.bits >> 63;
  return wide && !is_integer(dtype) ? constant(value.real(), dtype) : constant(int64_t(value.bits), dtype);
}
Array number(double value, Dtype dtype) { return constant(value, dtype); }

template <class T>
Array arange_of(int64_t count, T start, T step, Dtype dtype) {
  Array out = iota({count}, dtype);
  if (count > 1 && step != T(1)) out = multiply(out, number(step, dtype));
  return start == T(0) ? out : add(out, number(start, dtype));
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

Array arange(double start, double stop, double step, Dtype dtype) {
  check_arange_dtype(dtype);
  if (std::isnan(start) || std::isnan(stop) || std::isnan(step))
    throw ValueError("arange: a bound or the step is not a number");
  if (step == 0) throw ValueError("arange: the step must not be zero");
  int64_t count = arange_count(start, stop, step);
  if (!is_integer(dtype)) return arange_of(count, start, step, dtype);
  // The first two elements are rounded towards zero, and the others follow in steps of their difference, as in NumPy
  // and MLX.
  double second = std::trunc(start + step);
  start = std::trunc(start);
  step = second - start;
  for (double end : {start, start + double(count - 1) * step})
    if (count > 0 && std::abs(end) >= 0x1p63)
      throw ValueError(cat("arange: the element ", end, " does not fit int64, in which elements are counted"));
  return arange_of(count, Integer(int64_t(start)), Integer(count > 1 ? int64_t(step) : 1), dtype);
}

Array arange(Integer start, Integer stop, Integer step, Dtype dtype) {
  check_arange_dtype(dtype);
  if (step.bits == 0) throw ValueError("arange: the step must not be zero");
  bool up = !step.negative;
  if (up ? !(start < stop) : !(stop < start)) return iota({0}, dtype);
  // Unsigned, since the way may be longer than an int64 counts.
  uint64_t way = up ? stop.bits - start.bits : start.bits - stop.bits;
  uint64_t count = (way - 1) / (up ? step.bits : -step.bits) + 1;
  if (count > uint64_t(1) << 40)
    throw ValueError(
        cat("arange: from ", start.real(), " to ", stop.real(), " by ", step.real(), " there are too many elements"));
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

Array linspace(Integer start, Integer stop, int64_t count, bool endpoint, Dtype dtype) {
  if (!is_integer(dtype)) return linspace(start.real(), stop.real(), count, endpoint, dtype);
  uint64_t divisor = uint64_t(linspace_divisor(count, endpoint));
  bool down = stop < start;
  Integer low = down ? stop : start, high = down ? start : stop;
  uint64_t span = high.bits - low.bits;
  if ((low.negative && !high.negative && span < high.bits) || divisor >> 31)
    throw ValueError(
        cat("linspace: the range from ", start.real(), " to ", stop.real(), " is too wide for exact integers"));
  // start + floor(i * span / divisor), in whole and broken steps, so that no quotient is of more than 62 bits.
  uint64_t rest = span % divisor;
  Dtype work = dtype == Dtype::uint64 ? Dtype::uint64 : Dtype::int64;
  auto whole = [work](uint64_t value) { return constant(int64_t(value), work); };
  Array i = iota({count}, work), way = multiply(i, whole(span / divisor));
  if (rest) {
    Array broken = multiply(i, whole(rest));
    if (down) broken = add(broken, whole(divisor - 1));  // the floor below zero
    way = add(way, binary(Opcode::floor_divide, broken, whole(divisor)));
  }
  Array from = whole(start.bits);
  return astype(down ? subtract(from, way) : add(from, way), dtype);
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
