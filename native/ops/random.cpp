#include "ops/random.h"

#include <cmath>
#include <numbers>

#include "base/error.h"
#include "ops/argreduce.h"
#include "ops/bits.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "ops/sort.h"
#include "ops/views.h"

namespace funcnn::random {
namespace {

void check_key(const char* op, const Array& key) {
  if (key.dtype() == Dtype::uint32 && key.shape() == Shape{2}) return;
  bool several = key.dtype() == Dtype::uint32 && key.ndim() > 1 && key.dim(-1) == 2;
  throw ValueError(cat(op, ": expected a key (uint32 of shape (2,), from random.key or random.split), got ",
                       dtype_name(key.dtype()), " of shape ", key.shape(),
                       several ? "; use one of these keys, or map over them with vmap" : ""));
}

void check_float(const char* op, Dtype dtype) {
  if (!is_float(dtype))
    throw ValueError(cat(op, ": dtype must be a real floating point type, got ", dtype_name(dtype)));
}

// The shape to draw, to which the parameters must broadcast.
Shape drawn_shape(const char* op, const MaybeShape& shape, std::initializer_list<const Array*> parameters) {
  Shape common;
  for (const Array* p : parameters)
    if (*p) common = broadcast_shapes(op, common, p->shape());
  if (!shape) return common;
  for (int64_t d : *shape)
    if (d < 0) throw ValueError(cat(op, ": negative length in the shape ", *shape));
  if (!common.empty() && broadcast_shapes(op, common, *shape) != *shape)
    throw ValueError(cat(op, ": parameters of common shape ", common, " do not broadcast to the shape ", *shape));
  return *shape;
}

bool is_known(const Array& x, double value) {
  double known;
  return known_scalar(x, known) && known == value;
}

bool is_known_within(const Array& x, double bound) {
  double known;
  return known_scalar(x, known) && std::fabs(known) <= bound;
}

// In [0, 1).
Array unit(const Array& key, const Shape& shape, Dtype dtype) {
  if (dtype != Dtype::float64) return random_uniform(key, shape, dtype);
  // 53 of 64 bits; two words a number.
  Shape pairs = shape;
  pairs.push_back(2);
  Array words = astype(random_bits(key, pairs, 4), Dtype::float64);
  int axis = int(shape.size());
  Array high = reshape(slice_axis(words, axis, 0, 1), shape), low = reshape(slice_axis(words, axis, 1, 2), shape);
  Array top = multiply(unary(Opcode::floor, multiply(low, constant(0x1p-11, dtype))), constant(0x1p-53, dtype));
  return add(multiply(high, constant(0x1p-32, dtype)), top);
}

Array scaled(const Array& x, const Array& loc, const Array& scale) {
  Array out = x;
  if (scale) out = multiply(out, astype(scale, x.dtype()));
  if (loc) out = add(out, astype(loc, x.dtype()));
  return out.shape() == x.shape() ? out : broadcast_to(out, x.shape());
}

// The dtype that transcendental functions of a draw are computed in.
Dtype working(Dtype dtype) { return is_half(dtype) ? Dtype::float32 : dtype; }

// Uniform in (-1, 1): the lowest number is the one next to -1.
Array symmetric(const Array& key, const Shape& shape, Dtype dtype) {
  double low = dtype == Dtype::float64 ? std::nextafter(-1.0, 0.0) : double(std::nextafter(-1.0f, 0.0f));
  return uniform(key, shape, dtype, constant(low, dtype), constant(1, dtype));
}

}  // namespace

Array key(uint64_t seed) {
  Array made = empty_array({2}, Dtype::uint32);
  fresh_elements<uint32_t>(made)[0] = uint32_t(seed >> 32);
  fresh_elements<uint32_t>(made)[1] = uint32_t(seed);
  made.node()->device = {};  // it draws wherever the numbers are needed
  return made;
}

Array split(const Array& key, int64_t count) {
  check_key("random.split", key);
  if (count < 0) throw ValueError(cat("random.split: the number of keys must not be negative, got ", count));
  return random_bits(key, {count, 2}, 4);
}

Array fold_in(const Array& key, const Array& data) {
  check_key("random.fold_in", key);
  if (!is_integer(data.dtype()) || data.ndim() != 0)
    throw ValueError(
        cat("random.fold_in: data must be one integer, got ", dtype_name(data.dtype()), " of shape ", data.shape()));
  return random_fold_in(key, astype(data, Dtype::uint32));
}

Array bits(const Array& key, const Shape& shape, int width) {
  check_key("random.bits", key);
  return random_bits(key, drawn_shape("random.bits", shape, {}), width);
}

Array uniform(const Array& key, const MaybeShape& shape, Dtype dtype, const Array& low, const Array& high) {
  check_key("random.uniform", key);
  check_float("random.uniform", dtype);
  Shape drawn = drawn_shape("random.uniform", shape, {&low, &high});
  if (is_known(low, 0) && is_known(high, 1)) return unit(key, drawn, dtype);
  Array from = astype(low, dtype), to = astype(high, dtype), range = subtract(to, from);
  const bool rounded = is_half(dtype) && from.ndim() == 0 && range.ndim() == 0;
  auto near = [&] {
    return rounded ? random_uniform(key, drawn, from, range) : scaled(unit(key, drawn, dtype), from, range);
  };
  // No number is too far from 1 or less for their difference to be one.
  if (is_known_within(from, 1) || is_known_within(to, 1)) return near();
  auto far = [&] {
    Array u = unit(key, drawn, dtype);
    return add(multiply(from, subtract(constant(1, dtype), u)), multiply(to, u));
  };
  double first, last, apart;
  if (known_scalar(from, first) && known_scalar(to, last) && known_scalar(constant(last - first, dtype), apart))
    return std::isinf(apart) ? far() : near();
  return where(unary(Opcode::isinf, range), far(), near());
}

Array normal(const Array& key, const MaybeShape& shape, Dtype dtype, const Array& loc, const Array& scale) {
  check_key("random.normal", key);
  check_float("random.normal", dtype);
  Shape drawn = drawn_shape("random.normal", shape, {&loc, &scale});
  Dtype work = working(dtype);
  Array z = multiply(constant(std::numbers::sqrt2, work), unary(Opcode::erfinv, symmetric(key, drawn, work)));
  return scaled(astype(z, dtype), loc, scale);
}

Array bernoulli(const Array& key, const Array& p, const MaybeShape& shape) {
  check_key("random.bernoulli", key);
  Shape drawn = drawn_shape("random.bernoulli", shape, {&p});
  return less(unit(key, drawn, Dtype::float32), astype(p, Dtype::float32));
}

Array randint(const Array& key, const Array& low, const Array& high, const MaybeShape& shape, Dtype dtype) {
  check_key("random.randint", key);
  if (!is_integer(dtype))
    throw ValueError(cat("random.randint: dtype must be an integer type, got ", dtype_name(dtype)));
  for (const Array* bound : {&low, &high})
    if (!is_integer(bound->dtype()))
      throw ValueError(cat("random.randint: bounds must be integers, got ", dtype_name(bound->dtype())));
  Shape drawn = drawn_shape("random.randint", shape, {&low, &high});
  Dtype wide = dtype == Dtype::uint64 ? Dtype::uint64 : Dtype::int64;
  Array first = astype(low, wide), end = astype(high, wide), origin;
  Array from = astype(low, Dtype::float32), to = astype(high, Dtype::float32);
  // Beyond 2^24 float32 has not every integer: in a narrow range there, distances from the lower bound are drawn.
  if (!is_known_within(low, 0x1p24) || !is_known_within(high, 0x1p24)) {
    Array many = constant(int64_t(1) << 24, wide), range = subtract(end, first);
    Array out = greater(end, many);
    if (wide == Dtype::int64) out = binary(Opcode::logical_or, out, less(first, negative(many)));
    Array narrow =
        binary(Opcode::logical_and, greater(range, constant(0, wide)), binary(Opcode::less_equal, range, many));
    Array apart = binary(Opcode::logical_and, out, narrow), zero = constant(0, wide);
    origin = where(apart, first, zero);
    from = where(apart, constant(0, Dtype::float32), from);
    to = where(apart, astype(range, Dtype::float32), to);
  }
  Array u = unary(Opcode::floor, scaled(unit(key, drawn, Dtype::float32), from, subtract(to, from)));
  // float32 rounds large bounds, so that numbers may leave the range: bounds are kept as integers. Of an empty range
  // the lower bound comes out.
  u = astype(minimum(u, constant(wide == Dtype::uint64 ? 0x1.fffffep63 : 0x1.fffffep62, Dtype::float32)), wide);
  if (origin) u = add(u, origin);
  return astype(maximum(minimum(u, subtract(end, constant(1, wide))), first), dtype);
}

Array truncated_normal(const Array& key, const Array& lower, const Array& upper, const MaybeShape& shape, Dtype dtype) {
  check_key("random.truncated_normal", key);
  check_float("random.truncated_normal", dtype);
  Shape drawn = drawn_shape("random.truncated_normal", shape, {&lower, &upper});
  Dtype work = working(dtype);
  Array root = constant(std::numbers::sqrt2, work), low = astype(lower, work), high = astype(upper, work);
  Array from = unary(Opcode::erf, divide(low, root)), to = unary(Opcode::erf, divide(high, root));
  Array u = scaled(unit(key, drawn, work), from, subtract(to, from));
  // At 1, which rounding may reach, erfinv is infinite.
  Array inside = constant(work == Dtype::float64 ? 1 - 0x1p-53 : 1 - 0x1p-24, work);
  u = maximum(minimum(u, inside), negative(inside));
  // Rounding may step over the bounds.
  return astype(maximum(minimum(multiply(root, unary(Opcode::erfinv, u)), high), low), dtype);
}

Array gumbel(const Array& key, const Shape& shape, Dtype dtype) {
  check_key("random.gumbel", key);
  check_float("random.gumbel", dtype);
  const Dtype work = working(dtype);
  // 0 counts as half a step: beside a draw of -inf, one whose logit is -inf would be as large.
  Array least = constant(work == Dtype::float64 ? 0x1p-54 : 0x1p-33, work);
  Array u = maximum(unit(key, drawn_shape("random.gumbel", shape, {}), work), least);
  return astype(negative(log(negative(log(u)))), dtype);
}

Array laplace(const Array& key, const MaybeShape& shape, Dtype dtype, const Array& loc, const Array& scale) {
  check_key("random.laplace", key);
  check_float("random.laplace", dtype);
  Shape drawn = drawn_shape("random.laplace", shape, {&loc, &scale});
  Array u = symmetric(key, drawn, working(dtype));
  return scaled(astype(multiply(sign(u), unary(Opcode::log1p, negative(abs(u)))), dtype), loc, scale);
}

Array categorical(const Array& key, const Array& logits, int64_t axis, const MaybeShape& shape,
                  std::optional<int64_t> count) {
  const char* op = "random.categorical";
  check_key(op, key);
  int at = normalize_axis(op, axis, logits.ndim());
  if (shape && count) throw ValueError("random.categorical: give the shape or the number of samples, not both");
  // The largest of the logits, each with noise of its own (the Gumbel-max trick).
  if (count) {
    Shape noise = logits.shape();
    noise.push_back(*count);
    const int64_t last[] = {-1};
    return argmax(add(gumbel(key, noise, Dtype::float32), expand_dims(logits, last)), at, false);
  }
  if (!shape) return argmax(add(gumbel(key, logits.shape(), Dtype::float32), logits), at, false);
  Shape without = logits.shape();
  without.erase(without.begin() + at);
  bool fits = shape->size() >= without.size();
  for (size_t i = 0; fits && i < without.size(); ++i) {
    int64_t wanted = (*shape)[shape->size() - without.size() + i];
    fits = without[i] == wanted || without[i] == 1;
  }
  if (!fits)
    throw ValueError(
        cat(op, ": the shape ", *shape, " does not fit logits of shape ", logits.shape(), " and axis ", at));
  int64_t from_back = at - int64_t(logits.ndim());
  Shape noise = *shape;
  noise.insert(noise.end() + (from_back + 1), logits.shape()[size_t(at)]);
  return argmax(add(gumbel(key, noise, Dtype::float32), logits), from_back, false);
}

Array permutation(const Array& key, int64_t n) {
  check_key("random.permutation", key);
  if (n < 0) throw ValueError(cat("random.permutation: the number must not be negative, got ", n));
  return argsort(random_bits(key, {n}, 4), 0);
}

Array permutation(const Array& key, const Array& x, int64_t axis) {
  check_key("random.permutation", key);
  int at = normalize_axis("random.permutation", axis, x.ndim());
  return take(x, argsort(random_bits(key, {x.dim(at)}, 4), 0), at);
}

}  // namespace funcnn::random
