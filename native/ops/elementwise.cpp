#include "ops/elementwise.h"

#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/error.h"
#include "base/half_from_double.h"
#include "graph/integers.h"
#include "graph/primitive.h"
#include "ops/annotate.h"
#include "ops/rules.h"
#include "ops/views.h"

namespace funcnn {
namespace {

// What a derivative rule of an opcode sees.
struct At {
  const Array &x, &y, &out;  // operands (y: the second) and result
};
using Derivative = Array (*)(const At&);

Array c(double value, const Array& like) { return constant(value, like.dtype()); }
Array one_minus(const Array& x) { return subtract(c(1, x), x); }
Array one_plus(const Array& x) { return add(c(1, x), x); }
// 1 - x * x, also where x is near 1 and the square's rounding is no small part of what is left. (Near 0 it is the slope
// of the product that would cancel.) Of complex numbers both sides of a branch cut stay what they are.
Array one_minus_square(const Array& x) {
  Array y = square(x), direct = one_minus(y);
  return is_complex(x.dtype()) ? direct : where(less(y, c(0.25, x)), direct, multiply(one_minus(x), one_plus(x)));
}

double rounded_to(double value, Dtype dtype) {
  return dtype == Dtype::float16    ? double(to_half<float16_t>(value))
         : dtype == Dtype::bfloat16 ? double(to_half<bfloat16_t>(value))
         : dtype == Dtype::float32  ? double(float(value))
                                    : value;
}

// Products of large operands would lose digits of the exponential by being rounded first.
Array exp_of_product(const Array& a, const Array& b) { return binary(Opcode::exp_product, a, b); }

// (2 - x * x) exp(-x * x / 2) / sqrt(2 pi), the second derivative of gelu: a difference of squares is a product, which
// does not cancel near sqrt(2). Where the exponential would underflow before the product does, it is multiplied in
// halves.
Array gelu_second_derivative(const Array& x) {
  using std::numbers::inv_sqrtpi, std::numbers::sqrt2;
  Array y = clip(x, c(-100, x), c(100, x));
  Array a = where(less(y, c(0, x)), negative(y), y);  // unlike abs, it has a slope at 0
  double high = rounded_to(sqrt2, x.dtype());
  // What the high part lacks; that of float64 is known.
  double low = x.dtype() == Dtype::float64 ? -9.66729331345291345e-17 : sqrt2 - high;
  Array product = multiply(add(subtract(c(high, x), a), c(low, x)), add(c(high, x), a));
  Array factor = multiply(c(inv_sqrtpi * sqrt2 / 2, x), product);
  Array half = exp_of_product(multiply(c(-0.25, x), y), y);
  return where(less(a, c(12, x)), multiply(factor, exp_of_product(multiply(c(-0.5, x), y), y)),
               multiply(multiply(factor, half), half));
}

// x as far as a number beyond which a derivative is 0: at infinity the next one would be infinity times 0. NaN stays.
Array bounded(const Array& x, double far) {
  if (is_complex(x.dtype())) return x;
  return where(less(c(far, x), x), c(far, x), where(less(x, c(-far, x)), c(-far, x), x));
}
// exp(-x * x), and exp(-far * far) is 0.
Array bell(const Array& x) {
  Array y = bounded(x, 200);
  return exp_of_product(negative(y), y);
}

// d out / d x of opcodes with one operand; null where the derivative is zero everywhere it exists.
Derivative derivative(Opcode op) {
  using std::numbers::inv_sqrtpi, std::numbers::ln2, std::numbers::pi;
  switch (op) {
    case Opcode::abs:
      return [](const At& a) { return sign(a.x); };
    case Opcode::sqrt:
      return [](const At& a) { return divide(c(0.5, a.out), a.out); };
    case Opcode::square:
      return [](const At& a) { return multiply(c(2, a.x), a.x); };
    case Opcode::exp:
      return [](const At& a) { return a.out; };
    case Opcode::expm1:
      // The result plus one has no digits left where the exponential is small.
      return [](const At& a) { return exp(a.x); };
    case Opcode::exp2:
      return [](const At& a) { return multiply(c(ln2, a.out), a.out); };
    case Opcode::sin:
      return [](const At& a) { return cos(a.x); };
    case Opcode::cos:
      return [](const At& a) { return negative(sin(a.x)); };
    case Opcode::tan:
      return [](const At& a) { return one_plus(square(a.out)); };
    case Opcode::arcsin:
      return [](const At& a) { return rsqrt(one_minus_square(a.x)); };
    case Opcode::arccos:
      return [](const At& a) { return negative(rsqrt(one_minus_square(a.x))); };
    case Opcode::arctan:
      return [](const At& a) {
        const bool wide = a.x.dtype() == Dtype::float64, half = a.x.dtype() == Dtype::float16;
        return reciprocal(one_plus(square(bounded(a.x, wide ? 1e200 : half ? 60000 : 1e30))));
      };
    case Opcode::sinh:
      return [](const At& a) { return unary(Opcode::cosh, a.x); };
    case Opcode::cosh:
      return [](const At& a) { return unary(Opcode::sinh, a.x); };
    case Opcode::tanh:
      return [](const At& a) { return one_minus(square(a.out)); };
    case Opcode::arcsinh:
      return [](const At& a) {
        if (is_complex(a.x.dtype())) return rsqrt(one_plus(square(a.x)));
        const double far = a.x.dtype() == Dtype::float16 ? 200 : 1e9;  // beyond, 1 + x * x is x * x
        Array size = abs(a.x);
        return where(less(c(far, size), size), reciprocal(size), rsqrt(one_plus(square(bounded(a.x, far)))));
      };
    case Opcode::arccosh:
      // Two factors: x * x - 1 would cancel near 1.
      return [](const At& a) { return multiply(rsqrt(subtract(a.x, c(1, a.x))), rsqrt(one_plus(a.x))); };
    case Opcode::arctanh:
      return [](const At& a) { return reciprocal(one_minus_square(a.x)); };
    case Opcode::sigmoid:
      return [](const At& a) { return multiply(a.out, one_minus(a.out)); };
    case Opcode::erf:
      return [](const At& a) { return multiply(c(2 * inv_sqrtpi, a.x), bell(a.x)); };
    case Opcode::erfc:
      return [](const At& a) { return multiply(c(-2 * inv_sqrtpi, a.x), bell(a.x)); };
    case Opcode::gelu:
      return [](const At& a) { return unary(Opcode::gelu_derivative, a.x); };
    case Opcode::gelu_derivative:
      return [](const At& a) { return gelu_second_derivative(a.x); };
    case Opcode::erfinv:
      return [](const At& a) { return multiply(c(0.5 / inv_sqrtpi, a.x), exp(square(a.out))); };
    case Opcode::lgamma:
      return [](const At& a) { return unary(Opcode::digamma, a.x); };
    case Opcode::digamma:
      return [](const At& a) { return binary(Opcode::polygamma, c(1, a.x), a.x); };
    default:
      return nullptr;
  }
}

Dtype result_dtype(Opcode op, Dtype operands) {
  switch (opcode_info(op).result) {
    case ResultRule::boolean:
      return Dtype::bool_;
    case ResultRule::real:
      return is_complex(operands) ? Dtype::float32 : operands;
    case ResultRule::complex:
      return Dtype::complex64;
    case ResultRule::same:
      break;
  }
  return operands;
}

class Elementwise final : public Primitive {
 public:
  explicit Elementwise(Opcode op) : op_(op) {}
  std::string_view name() const override { return opcode_info(op_).name; }
  Kind kind() const override { return Kind::elementwise; }
  Opcode opcode() const override { return op_; }
  void hash(Hasher& h) const override { h.add(int(op_)); }

  Arrays vjp(const VjpContext& v) const override {
    Arrays out(v.inputs.size());
    if (opcode_info(op_).derivative == DerivativeKind::zero) return out;
    const Array& ct = v.cotangents[0];
    for (size_t i = 0; i < v.inputs.size(); ++i) {
      if (!v.needed[i]) continue;
      Array mine = scale(i, v.inputs, v.outputs[0], ct, true);
      if (mine) out[i] = cotangent_for(mine, v.inputs[i]);
    }
    return out;
  }

  std::optional<Arrays> jvp(Span inputs, Span tangents, Span outputs) const override {
    Array total;
    if (opcode_info(op_).derivative != DerivativeKind::zero)
      for (size_t i = 0; i < inputs.size(); ++i)
        if (tangents[i]) total = add_or_null(total, scale(i, inputs, outputs[0], tangents[i], false));
    if (total && total.shape() != outputs[0].shape()) total = broadcast_to(total, outputs[0].shape());
    if (total && total.dtype() != outputs[0].dtype()) total = astype(total, outputs[0].dtype());
    return Arrays{total};
  }

  Batched batch(Span inputs, std::span<const bool> batched, int64_t) const override;

 private:
  // The derivative by operand i, times t. For complex operands the cotangent meets the conjugate derivative.
  Array scale(size_t i, Span inputs, const Array& out, const Array& t, bool transposed) const {
    const Array& x = inputs[0];
    const Array& y = inputs.size() > 1 ? inputs[1] : x;
    auto d = [&](const Array& derivative) {
      return transposed && is_complex(derivative.dtype()) ? conjugate(derivative) : derivative;
    };
    switch (op_) {
      case Opcode::copy:
        return transposed || t.dtype() == out.dtype() ? t : astype(t, out.dtype());
      case Opcode::negative:
        return negative(t);
      case Opcode::abs:
        if (is_complex(x.dtype())) {
          // The direction x / |x|; at the origin it is zero, and so are its own derivatives.
          Array origin = equal(out, c(0, out));
          Array size = astype(where(origin, c(1, out), out), x.dtype());
          Array unit = where(origin, constant(0, x.dtype()), divide(x, size));
          return transposed ? multiply(astype(t, x.dtype()), unit) : real(multiply(t, conjugate(unit)));
        }
        break;
      case Opcode::real:
        return transposed ? t : real(t);
      case Opcode::imag:
        return transposed ? multiply(astype(t, Dtype::complex64), constant(complex64_t(0, 1), Dtype::complex64))
                          : imag(t);
      case Opcode::conjugate:
        return conjugate(t);
      case Opcode::make_complex:
        if (transposed) return i == 0 ? real(t) : imag(t);
        return i == 0 ? astype(t, Dtype::complex64)
                      : multiply(astype(t, Dtype::complex64), constant(complex64_t(0, 1), Dtype::complex64));
      case Opcode::add:
        return t;
      case Opcode::subtract:
        return i == 0 ? t : negative(t);
      case Opcode::multiply:
        return multiply(t, d(i == 0 ? y : x));
      case Opcode::log:
        return divide(t, d(x));
      case Opcode::log1p:
        return divide(t, d(one_plus(x)));
      case Opcode::log2:
        return divide(t, d(multiply(c(std::numbers::ln2, x), x)));
      case Opcode::log10:
        return divide(t, d(multiply(c(std::numbers::ln10, x), x)));
      // Of quotients, t meets one factor after the other: their product may be out of range where the derivative is
      // not.
      case Opcode::reciprocal:
        return negative(multiply(multiply(t, d(out)), d(out)));
      case Opcode::rsqrt:
        return multiply(divide(multiply(c(-0.5, t), t), d(x)), d(out));
      case Opcode::divide:
        if (i == 0) return divide(t, d(y));
        return negative(multiply(divide(t, d(y)), d(out)));
      case Opcode::remainder: {
        if (i == 0) return t;
        return negative(multiply(t, binary(Opcode::floor_divide, x, y)));
      }
      case Opcode::power: {
        if (i == 0) {
          double known;
          Array exponent = y;
          if (!known_scalar(y, known)) {
            // x ** 0 has slope zero also where 1 / x is infinite; there the factor 0 meets x ** 0 instead.
            Array flat = equal(y, c(0, y)), tame = unary(Opcode::isfinite, reciprocal(x));
            exponent = where(binary(Opcode::logical_and, flat, unary(Opcode::logical_not, tame)), c(1, y), y);
          } else if (known == 0) {
            return {};
          }
          return multiply(t, d(multiply(y, power(x, subtract(exponent, c(1, y))))));
        }
        // 0 ** y has slope zero in y, not log(0) * 0.
        Array safe = where(equal(x, c(0, x)), c(1, x), x);
        return multiply(t, d(multiply(out, log(safe))));
      }
      case Opcode::maximum:
      case Opcode::minimum: {
        // At equality the second operand takes it all, beside NaN neither takes anything (MLX's choice). Beside a
        // constant, the result tells as much as the first operand, which can then be forgotten.
        Opcode first = op_ == Opcode::maximum ? Opcode::greater : Opcode::less;
        Opcode second = op_ == Opcode::maximum ? Opcode::less_equal : Opcode::greater_equal;
        double ignored;
        const Array& like = known_scalar(y, ignored) ? out : x;
        return where(binary(i == 0 ? first : second, like, y), t, c(0, t));
      }
      case Opcode::arctan2: {
        // operand / (x**2 + y**2), of what both are over the larger, so that no square is out of range.
        Array size = stop_gradient(maximum(abs(x), abs(y)));
        Array tame =
            binary(Opcode::logical_and, binary(Opcode::greater, size, c(0, size)), unary(Opcode::isfinite, size));
        size = where(tame, size, c(1, size));
        Array u = divide(x, size), v = divide(y, size), norm = multiply(add(square(u), square(v)), size);
        return i == 0 ? multiply(t, divide(v, norm)) : negative(multiply(t, divide(u, norm)));
      }
      case Opcode::logaddexp: {
        // Not exp(operand - out): beside large operands the rounding of the result is no small part of their distance.
        // An infinite operand takes it all; of two -inf neither takes anything, as in logsumexp. Beside NaN the share
        // is NaN.
        const Array &mine = i == 0 ? x : y, &other = i == 0 ? y : x;
        Array same = binary(Opcode::logical_and, equal(mine, other), unary(Opcode::isinf, mine));
        return multiply(t, unary(Opcode::sigmoid, where(same, mine, subtract(mine, other))));
      }
      case Opcode::polygamma:
        if (i == 0) throw_not_differentiable(*this, "its order is an integer: stop_gradient holds it constant");
        return multiply(t, binary(Opcode::polygamma, one_plus(x), y));
      case Opcode::exp_product:
        return multiply(t, multiply(out, i == 0 ? y : x));
      case Opcode::select:
        if (i == 0) return {};
        return i == 1 ? where(x, t, c(0, t)) : where(x, c(0, t), t);
      case Opcode::fma:
        return i == 2 ? t : multiply(t, d(i == 0 ? y : x));
      default:
        break;
    }
    if (Derivative f = derivative(op_)) return multiply(t, d(f(At{x, y, out})));
    throw_not_differentiable(*this);
  }

  Opcode op_;
};

const Ref<const Primitive>& primitive(Opcode op) {
  static const auto shared = [] {
    std::array<Ref<const Primitive>, kOpcodeCount> made;
    for (int i = 0; i < kOpcodeCount; ++i) made[size_t(i)] = Ref<const Primitive>(new Elementwise(Opcode(i)));
    return made;
  }();
  return shared[size_t(op)];
}

Batched Elementwise::batch(Span inputs, std::span<const bool> batched, int64_t) const {
  Arrays aligned = align_batched(inputs, batched);
  Dtype dtype = result_dtype(op_, aligned.back().dtype());
  return {{elementwise(op_, aligned, dtype)}, {true}};
}

// Convert keeps its target in the primitive, for its batching rule.
class Convert final : public Primitive {
 public:
  explicit Convert(Dtype to) : to_(to) {}
  std::string_view name() const override { return "astype"; }
  Kind kind() const override { return Kind::elementwise; }
  Opcode opcode() const override { return Opcode::copy; }
  void hash(Hasher& h) const override { h.add(int(to_)); }
  std::string parameters() const override { return std::string(dtype_name(to_)); }
  Arrays vjp(const VjpContext& v) const override {
    if (!has_derivative(v.inputs[0].dtype())) return {Array()};
    return {cotangent_for(v.cotangents[0], v.inputs[0])};
  }
  std::optional<Arrays> jvp(Span, Span tangents, Span) const override {
    if (!tangents[0] || !has_derivative(to_)) return Arrays{Array()};
    return Arrays{astype(tangents[0], to_)};
  }
  Batched batch(Span inputs, std::span<const bool>, int64_t) const override {
    return {{astype(inputs[0], to_)}, {true}};
  }

 private:
  Dtype to_;
};

[[noreturn]] void throw_dtype(const OpcodeInfo& info, Dtype dtype) {
  if (info.operands == OperandRule::bits && !is_integer(dtype) && dtype != Dtype::bool_)
    throw ValueError(cat(info.name, ": expected integer or bool operands, got ", dtype_name(dtype)));
  throw ValueError(cat(info.name, ": is not defined for complex64 operands"));
}

void check_dtype(const OpcodeInfo& info, Dtype dtype) {
  bool bits = info.operands != OperandRule::bits || is_integer(dtype) || dtype == Dtype::bool_;
  if (!bits || (!info.complex && is_complex(dtype))) throw_dtype(info, dtype);
}

}  // namespace

Array elementwise(Opcode op, Span inputs, Dtype dtype) {
  Shape shape = inputs[0].shape();
  for (size_t i = 1; i < inputs.size(); ++i)
    if (inputs[i].shape() != shape && inputs[i].ndim() > 0)
      shape =
          shape.empty() ? inputs[i].shape() : broadcast_shapes(opcode_info(op).name.data(), shape, inputs[i].shape());
  return make_node(primitive(op), inputs, std::move(shape), dtype);
}

Array astype(const Array& x, Dtype dtype) {
  if (x.dtype() == dtype) return x;
  static const auto shared = [] {
    std::array<Ref<const Primitive>, kDtypeCount> made;
    for (int i = 0; i < kDtypeCount; ++i) made[size_t(i)] = Ref<const Primitive>(new Convert(Dtype(i)));
    return made;
  }();
  return make_node(shared[size_t(dtype)], Span(&x, 1), x.shape(), dtype);
}

Array unary(Opcode op, const Array& x) {
  const OpcodeInfo& info = opcode_info(op);
  Dtype in = x.dtype();
  check_dtype(info, in);
  if (info.operands == OperandRule::inexact && !is_inexact(in)) return unary(op, astype(x, Dtype::float32));
  switch (op) {
    case Opcode::real:
    case Opcode::conjugate:
      if (!is_complex(in)) return x;
      break;
    case Opcode::imag:
      if (!is_complex(in)) return zeros_like(x);
      break;
    case Opcode::abs:
      if (is_unsigned(in) || in == Dtype::bool_) return x;
      break;
    case Opcode::floor:
    case Opcode::ceil:
    case Opcode::round:
    case Opcode::trunc:
      if (!is_inexact(in)) return x;
      break;
    case Opcode::isnan:
    case Opcode::isinf:
    case Opcode::isfinite:
      if (!is_inexact(in)) return full(x.shape(), constant(op == Opcode::isfinite ? 1 : 0, Dtype::bool_));
      break;
    default:
      break;
  }
  if (in == Dtype::bool_ && info.on_bool != op) {
    if (info.on_bool == OpcodeInfo::kRefused)
      throw ValueError(cat(info.name, ": is not defined for bool; use logical_not"));
    return unary(info.on_bool, x);
  }
  return make_node(primitive(op), Span(&x, 1), x.shape(), result_dtype(op, in));
}

namespace {

// Integers of which one is uint64 and the other has a sign: no dtype holds both.
Array compare_signs(Opcode op, const Array& a, const Array& b) {
  bool first = !is_unsigned(a.dtype());
  const Array& with_sign = first ? a : b;
  // Below zero the answer is that for -1 and 0; above, the other number fits uint64.
  Array negative = less(with_sign, constant(0, with_sign.dtype()));
  bool below = op == Opcode::less || op == Opcode::less_equal,
       above = op == Opcode::greater || op == Opcode::greater_equal;
  bool then = op == Opcode::not_equal || (first ? below : above);
  return where(negative, constant(int64_t(then), Dtype::bool_),
               binary(op, astype(a, Dtype::uint64), astype(b, Dtype::uint64)));
}

// Roots of -0 and -inf are not what C's pow makes of them; those of 0 and inf are.
Array without_sign(const Array& x) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return add(where(equal(x, c(-infinity, x)), c(infinity, x), x), c(0, x));
}

}  // namespace

Array binary(Opcode op, const Array& a, const Array& b) {
  const OpcodeInfo& info = opcode_info(op);
  if (info.compares && is_integer(a.dtype()) && is_integer(b.dtype()) &&
      !is_integer(promote_types(a.dtype(), b.dtype())))
    return compare_signs(op, a, b);
  Dtype dtype = a.dtype() == b.dtype() ? a.dtype() : promote_types(a.dtype(), b.dtype());
  if (info.operands == OperandRule::inexact && !is_inexact(dtype)) dtype = Dtype::float32;
  check_dtype(info, dtype);
  if (op == Opcode::logical_and || op == Opcode::logical_or) dtype = Dtype::bool_;
  if (dtype == Dtype::bool_) {
    if (info.on_bool == OpcodeInfo::kRefused)
      throw ValueError(cat(info.name, ": is not defined for bool operands; convert them with astype"));
    op = info.on_bool;
  }
  Dtype out = result_dtype(op, dtype);
  if (a.dtype() == dtype && b.dtype() == dtype) {
    const Array inputs[] = {a, b};
    return elementwise(op, inputs, out);
  }
  const Array inputs[] = {astype(a, dtype), astype(b, dtype)};
  return elementwise(op, inputs, out);
}

Array where(const Array& condition, const Array& a, const Array& b) {
  Dtype dtype = promote_types(a.dtype(), b.dtype());
  const Array inputs[] = {astype(condition, Dtype::bool_), astype(a, dtype), astype(b, dtype)};
  return elementwise(Opcode::select, inputs, dtype);
}

Array clip(const Array& x, const Array& low, const Array& high) {
  Array out = x;
  if (low) out = maximum(out, low);
  if (high) out = minimum(out, high);
  return out;
}

Array power(const Array& a, const Array& b) {
  double exponent;
  if (b.ndim() == 0 && is_inexact(promote_types(a.dtype(), b.dtype())) == is_inexact(a.dtype()) &&
      promote_types(a.dtype(), b.dtype()) == a.dtype() && known_scalar(b, exponent)) {
    if (exponent == 0) return full(a.shape(), constant(1, a.dtype()));
    if (exponent == 1) return a;
    if (exponent == 2) return square(a);
    if (exponent == 3) return multiply(square(a), a);
    if (is_float(a.dtype())) {
      if (exponent == 0.5) return sqrt(without_sign(a));
      if (exponent == -0.5) return rsqrt(without_sign(a));
      if (exponent == -1) return reciprocal(a);
    }
  }
  return binary(Opcode::power, a, b);
}

}  // namespace funcnn
