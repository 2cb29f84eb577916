#include "backends/cpu/jit/functions.h"

#include <array>
#include <utility>

#include "backends/cpu/jit/casts.h"
#include "backends/cpu/jit/float_division.h"
#include "backends/cpu/jit/pair.h"
#include "backends/cpu/jit/value.h"
#include "backends/cpu/simd/arithmetic.h"
#include "backends/cpu/simd/bitwise.h"
#include "backends/cpu/simd/compare.h"
#include "backends/cpu/simd/division.h"
#include "backends/cpu/simd/double.h"
#include "backends/cpu/simd/double_hyperbolic.h"
#include "backends/cpu/simd/double_inverse.h"
#include "backends/cpu/simd/double_normal.h"
#include "backends/cpu/simd/double_power.h"
#include "backends/cpu/simd/exponential.h"
#include "backends/cpu/simd/fused.h"
#include "backends/cpu/simd/gelu.h"
#include "backends/cpu/simd/half.h"
#include "backends/cpu/simd/inverse.h"
#include "backends/cpu/simd/power.h"
#include "backends/cpu/simd/special.h"
#include "backends/cpu/simd/table.h"
#include "backends/cpu/simd/trigonometric.h"
#include "backends/cpu/simd/types.h"

namespace funcnn::cpu::jit {
namespace {

using simd::Types;

using Recorder = int (*)(Line&, const int* args);

template <class Op, class... Operands>
int run(Line& line, const int* args) {
  return [&]<size_t... k>(std::index_sequence<k...>) {
    return Op::apply(Operands(Value{&line, args[k]})...).in(line);
  }(std::index_sequence_for<Operands...>());
}

// Computed in float64: only where the generator knows how.
template <class Op, class... Operands>
int run_in_halves(Line& line, const int* args) {
  return line.halves ? run<Op, Operands...>(line, args) : -1;
}

// Integers below 32 bits are divided as what their lanes hold.
template <class Op>
struct InInt32 {
  template <class T>
  static Word<T> apply(Word<T> a, Word<T> b) {
    return Word<T>(Op::apply(Word<int32_t>(a), Word<int32_t>(b)));
  }
};
// By one divisor, whose reciprocal is computed once: the integer nearest to the product is that nearest to the
// quotient, or almost, and the floor is that integer or the one below it, as the rest shows, which is exact.
struct FloorDivideByOne {
  template <class T>
  static Word<T> apply(Word<T> a, Word<T> b) {
    if (!is_lazy(b.line->nodes[size_t(b.node)].what)) return simd::IntFloorDivide::apply(a, b);
    const Mask none = b == Word<T>(T(0));
    const WidePair x = widen(a), y = widen(select(none, Word<T>(T(1)), b));
    const WidePair q = simd::nearest(x * (1.0 / y)), rest = fma(-q, y, x);
    const Pair<Mask> past = ((rest < 0.0) & (y > 0.0)) | ((rest > 0.0) & (y < 0.0));
    return select(none, Word<T>(T(0)), Word<T>(low_bits(select(past, q - 1.0, q))));
  }
};
struct RemainderByOne {
  template <class T>
  static Word<T> apply(Word<T> a, Word<T> b) {
    using U = Word<std::make_unsigned_t<T>>;
    const U q = U(FloorDivideByOne::apply(a, b));
    return select(b == Word<T>(T(0)), Word<T>(T(0)), Word<T>(U(a) - q * U(b)));
  }
};
struct DivideRow {
  template <class T>
  static T apply(T a, T b) {
    return choose(simd::divides_by_reciprocal(b), a * (T(1) / b), a / b);
  }
};
template <class Op>
struct Rare {
  template <class F>
  static F apply(F x) {
    return seldom(simd::is_rare<Op>(x), Op::far(x), Op::near(x));
  }
  template <class F>
  static F apply(F x, F y) {
    return seldom(simd::is_rare<Op>(x, y), Op::far(x, y), Op::near(x, y));
  }
};
struct ExpOfDifference {
  template <class F>
  static F apply(F a, F b) {
    return Rare<simd::Exp>::apply(a - b);
  }
};
template <bool value>
struct Always {
  template <class T>
  static Mask apply(T a) {
    Mask same(make(Do::int_equal, {a, a}));
    return value ? same : !same;
  }
  static Mask apply(Mask a) { return value ? a | (!a) : a & (!a); }
};
struct RoundHalf {
  static Float32 apply(Float32 a) { return round_half(a); }
};
struct RoundBrain {
  static Float32 apply(Float32 a) { return round_brain(a); }
};

// clang-format off
template <class T> struct ValueOf { using type = Word<T>; };
template <> struct ValueOf<bool> { using type = Mask; };
template <> struct ValueOf<float> { using type = Float32; };
template <> struct ValueOf<double> { using type = Float64; };
// clang-format on
template <class T>
using Of = typename ValueOf<T>::type;

class Recorders {
 public:
  Recorders() {
    arithmetic();
    bits();
    comparisons();
    booleans();
    functions();
  }
  Recorder find(int op, Dtype dtype) const { return table_[size_t(op)][size_t(dtype)]; }

 private:
  template <class Op, class... Ts>
  void unary(Opcode op, Types<Ts...>) {
    ((at(int(op), simd::DtypeOf<Ts>::value) = run<Op, Of<Ts>>), ...);
  }
  template <class Op, class... Ts>
  void binary(Opcode op, Types<Ts...>) {
    ((at(int(op), simd::DtypeOf<Ts>::value) = run<Op, Of<Ts>, Of<Ts>>), ...);
  }
  template <class Op>
  void unary_in_halves(Opcode op) {
    at(int(op), int(Dtype::float32)) = run_in_halves<Op, Float32>;
  }
  template <class Op, class... Ts>
  void binary_in_halves(Opcode op, Types<Ts...>) {
    ((at(int(op), simd::DtypeOf<Ts>::value) = run_in_halves<Op, Of<Ts>, Of<Ts>>), ...);
  }
  template <class Op>
  void ternary(int op) {
    at(op, int(Dtype::float32)) = run<Op, Float32, Float32, Float32>;
    at(op, int(Dtype::float64)) = run<Op, Float64, Float64, Float64>;
  }
  template <class... Ts>
  void select(Types<Ts...>) {
    ((at(int(Opcode::select), simd::DtypeOf<Ts>::value) = run<simd::Select, Mask, Of<Ts>, Of<Ts>>), ...);
  }
  Recorder& at(int op, int dtype) { return table_[size_t(op)][size_t(dtype)]; }

  void arithmetic() {
    using simd::Floats, simd::Ints, simd::Reals;
    binary<simd::Add>(Opcode::add, Reals{});
    binary<simd::Subtract>(Opcode::subtract, Reals{});
    binary<simd::Multiply>(Opcode::multiply, Reals{});
    unary<simd::Square>(Opcode::square, Reals{});
    unary<simd::Negative>(Opcode::negative, Reals{});
    binary<simd::Divide>(Opcode::divide, Floats{});
    unary<simd::Reciprocal>(Opcode::reciprocal, Floats{});
    unary<simd::Sqrt>(Opcode::sqrt, Floats{});
    unary<simd::Rsqrt>(Opcode::rsqrt, Floats{});
    unary<simd::Abs>(Opcode::abs, simd::SignedInts{});
    unary<simd::Identity>(Opcode::abs, simd::UnsignedInts{});
    unary<simd::Abs>(Opcode::abs, Floats{});
    unary<simd::Sign>(Opcode::sign, Reals{});
    unary<simd::Floor>(Opcode::floor, Floats{});
    unary<simd::Ceil>(Opcode::ceil, Floats{});
    unary<simd::Trunc>(Opcode::trunc, Floats{});
    unary<simd::Round>(Opcode::round, Floats{});
    for (Opcode op : {Opcode::conjugate, Opcode::real}) unary<simd::Identity>(op, Reals{});
    for (Opcode op : {Opcode::floor, Opcode::ceil, Opcode::trunc, Opcode::round}) unary<simd::Identity>(op, Ints{});
    binary<simd::Maximum>(Opcode::maximum, Reals{});
    binary<simd::Minimum>(Opcode::minimum, Reals{});
    ternary<simd::Fma>(int(Opcode::fma));
    ternary<simd::Fms>(simd::kFms);
    ternary<simd::Fnma>(simd::kFnma);
    ternary<simd::ScaledDifference>(simd::kScaledDifference);
    binary<DivideRow>(Opcode(simd::kDivideRow), Floats{});
    unary<RoundHalf>(Opcode::round_float16, Types<float>{});
    unary<RoundBrain>(Opcode::round_bfloat16, Types<float>{});
  }

  void bits() {
    using simd::Ints;
    binary<simd::And>(Opcode::bitwise_and, Ints{});
    binary<simd::Or>(Opcode::bitwise_or, Ints{});
    binary<simd::Xor>(Opcode::bitwise_xor, Ints{});
    unary<simd::Invert>(Opcode::bitwise_invert, Ints{});
    binary<simd::LeftShift>(Opcode::left_shift, Ints{});
    binary<simd::RightShift>(Opcode::right_shift, Ints{});
  }

  void comparisons() {
    using All = Types<bool, uint8_t, uint16_t, uint32_t, uint64_t, int8_t, int16_t, int32_t, int64_t, float, double>;
    using simd::Floats, simd::Ints, simd::Reals;
    binary<simd::Equal>(Opcode::equal, All{});
    binary<simd::NotEqual>(Opcode::not_equal, All{});
    binary<simd::Less>(Opcode::less, All{});
    binary<simd::LessEqual>(Opcode::less_equal, All{});
    binary<simd::Greater>(Opcode::greater, All{});
    binary<simd::GreaterEqual>(Opcode::greater_equal, All{});
    binary<simd::LogicalAnd>(Opcode::logical_and, Reals{});
    binary<simd::LogicalOr>(Opcode::logical_or, Reals{});
    unary<simd::LogicalNot>(Opcode::logical_not, Reals{});
    unary<simd::IsNan>(Opcode::isnan, Floats{});
    unary<simd::IsInf>(Opcode::isinf, Floats{});
    unary<simd::IsFinite>(Opcode::isfinite, Floats{});
    for (Opcode op : {Opcode::isnan, Opcode::isinf}) {
      unary<Always<false>>(op, Ints{});
      unary<Always<false>>(op, Types<bool>{});
    }
    unary<Always<true>>(Opcode::isfinite, Ints{});
    unary<Always<true>>(Opcode::isfinite, Types<bool>{});
    select(All{});
  }

  void booleans() {
    using Bool = Types<bool>;
    for (Opcode op : {Opcode::bitwise_and, Opcode::logical_and, Opcode::minimum, Opcode::multiply})
      binary<simd::And>(op, Bool{});
    for (Opcode op : {Opcode::bitwise_or, Opcode::logical_or, Opcode::maximum, Opcode::add})
      binary<simd::Or>(op, Bool{});
    for (Opcode op : {Opcode::bitwise_xor, Opcode::subtract}) binary<simd::Xor>(op, Bool{});
    binary<simd::OrNot>(Opcode::power, Bool{});
    for (Opcode op : {Opcode::bitwise_invert, Opcode::logical_not}) unary<simd::Not>(op, Bool{});
    for (Opcode op : {Opcode::abs, Opcode::sign, Opcode::square, Opcode::floor, Opcode::ceil, Opcode::trunc,
                      Opcode::round, Opcode::conjugate, Opcode::real})
      unary<simd::Identity>(op, Bool{});
  }

  void functions() {
    using F = Types<float>;
    unary<Rare<simd::Exp>>(Opcode::exp, F{});
    binary<ExpOfDifference>(Opcode(simd::kExpOfDifference), F{});
    unary<Rare<simd::Exp2>>(Opcode::exp2, F{});
    unary<simd::Expm1>(Opcode::expm1, F{});
    unary<Rare<simd::Log>>(Opcode::log, F{});
    unary<Rare<simd::Log1p>>(Opcode::log1p, F{});
    unary<Rare<simd::Log2>>(Opcode::log2, F{});
    unary<Rare<simd::Log10>>(Opcode::log10, F{});
    unary<Rare<simd::Sigmoid>>(Opcode::sigmoid, F{});
    unary<simd::Tanh>(Opcode::tanh, F{});
    binary<simd::Logaddexp>(Opcode::logaddexp, F{});
    unary<simd::Erf>(Opcode::erf, F{});
    unary<Rare<simd::Gelu>>(Opcode::gelu, F{});
    unary<Rare<simd::GeluDerivative>>(Opcode::gelu_derivative, F{});
    unary<Rare<simd::HalfExp>>(Opcode(simd::kHalfExp), F{});
    unary<Rare<simd::HalfSigmoid>>(Opcode(simd::kHalfSigmoid), F{});
    unary<simd::HalfTanh>(Opcode(simd::kHalfTanh), F{});
    unary<simd::HalfErf>(Opcode(simd::kHalfErf), F{});
    unary<Rare<simd::HalfGelu>>(Opcode(simd::kHalfGelu), F{});
    unary<Rare<simd::HalfGeluDerivative>>(Opcode(simd::kHalfGeluDerivative), F{});
    unary<simd::Arcsin>(Opcode::arcsin, F{});
    unary<simd::Arccos>(Opcode::arccos, F{});
    unary<simd::Arctan>(Opcode::arctan, F{});
    using D = Types<double>;
    unary<Rare<simd::ExpLong>>(Opcode::exp, D{});
    unary<simd::Expm1Long>(Opcode::expm1, D{});
    unary<simd::LogLong>(Opcode::log, D{});
    unary<simd::Log1pLong>(Opcode::log1p, D{});
    unary<Rare<simd::SigmoidLong>>(Opcode::sigmoid, D{});
    unary<simd::TanhLong>(Opcode::tanh, D{});
    binary<simd::LogaddexpLong>(Opcode::logaddexp, D{});
    unary<simd::ErfLong>(Opcode::erf, D{});
    unary<Rare<simd::Exp2Long>>(Opcode::exp2, D{});
    unary<simd::Log2Long>(Opcode::log2, D{});
    unary<simd::Log10Long>(Opcode::log10, D{});
    unary<simd::SinhLong>(Opcode::sinh, D{});
    unary<simd::CoshLong>(Opcode::cosh, D{});
    unary<simd::ArcsinhLong>(Opcode::arcsinh, D{});
    unary<simd::ArccoshLong>(Opcode::arccosh, D{});
    unary<simd::ArctanhLong>(Opcode::arctanh, D{});
    unary<simd::ArcsinLong>(Opcode::arcsin, D{});
    unary<simd::ArccosLong>(Opcode::arccos, D{});
    unary<simd::ArctanLong>(Opcode::arctan, D{});
    binary<simd::Arctan2Long>(Opcode::arctan2, D{});
    unary<Rare<simd::ErfcLong>>(Opcode::erfc, D{});
    unary<Rare<simd::ErfinvLong>>(Opcode::erfinv, D{});
    unary<Rare<simd::GeluLong>>(Opcode::gelu, D{});
    unary<Rare<simd::GeluDerivativeLong>>(Opcode::gelu_derivative, D{});
    binary<simd::ExpProductLong>(Opcode::exp_product, D{});
    binary<simd::PowerLong>(Opcode::power, D{});
    unary_in_halves<Rare<simd::Sinh>>(Opcode::sinh);
    unary_in_halves<Rare<simd::Cosh>>(Opcode::cosh);
    unary_in_halves<simd::Arcsinh>(Opcode::arcsinh);
    unary_in_halves<simd::Arccosh>(Opcode::arccosh);
    unary_in_halves<simd::Arctanh>(Opcode::arctanh);
    unary_in_halves<simd::Erfc>(Opcode::erfc);
    unary_in_halves<Rare<simd::Erfinv>>(Opcode::erfinv);
    unary_in_halves<Rare<simd::Sin>>(Opcode::sin);
    unary_in_halves<Rare<simd::Cos>>(Opcode::cos);
    unary_in_halves<Rare<simd::Tan>>(Opcode::tan);
    binary_in_halves<Rare<simd::Arctan2>>(Opcode::arctan2, F{});
    binary_in_halves<Rare<simd::RealPower>>(Opcode::power, F{});
    binary_in_halves<simd::ExpProduct>(Opcode::exp_product, F{});
    using Ints = Types<int8_t, int16_t, uint8_t, uint16_t>;
    binary_in_halves<InInt32<simd::IntFloorDivide>>(Opcode::floor_divide, Ints{});
    binary_in_halves<InInt32<simd::IntRemainder>>(Opcode::remainder, Ints{});
    binary_in_halves<FloorDivideByOne>(Opcode::floor_divide, Types<int32_t, uint32_t>{});
    binary_in_halves<RemainderByOne>(Opcode::remainder, Types<int32_t, uint32_t>{});
    binary_in_halves<FloatFloorDivide>(Opcode::floor_divide, F{});
    binary_in_halves<FloatRemainder>(Opcode::remainder, F{});
  }

  std::array<std::array<Recorder, kDtypeCount>, simd::kOpCount> table_{};
};

}  // namespace

int record(Line& line, int op, Dtype dtype, std::span<const int> args) {
  static const Recorders recorders;
  const bool fits = dtype == Dtype::bool_ || (item_size(dtype) == 8) == line.wide;
  Recorder recorder = fits ? recorders.find(op, dtype) : nullptr;
  return recorder ? recorder(line, args.data()) : -1;
}

}  // namespace funcnn::cpu::jit
