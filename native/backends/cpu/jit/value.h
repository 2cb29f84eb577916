// Numbers that write down what is computed with them: the function templates of simd/, run on these, fill a line.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <type_traits>

#include "backends/cpu/jit/line.h"
#include "backends/cpu/simd/double.h"
#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::jit {

// A node of a line, or a constant that is in none yet.
struct Value {
  Line* line = nullptr;
  int node = -1;
  uint64_t constant = 0;

  int in(Line& to, bool eight = false) const {
    return line ? node : to.make({.what = Do::constant, .eight = eight, .bits = constant});
  }
};

// In the line of the operands, of which at least one has one.
Value make(Do what, std::initializer_list<Value> operands, uint64_t bits = 0);
// A selection, found to be the smaller or larger number where it is.
Value make_select(const Value& mask, const Value& yes, const Value& no);
// The constant that a value is, or null.
const uint64_t* constant_of(const Value& value);

class Mask : public Value {
 public:
  explicit Mask(const Value& value) : Value(value) {}

  friend Mask operator&(Mask a, Mask b) { return Mask(make(Do::mask_and, {a, b})); }
  friend Mask operator|(Mask a, Mask b) { return Mask(make(Do::mask_or, {a, b})); }
  friend Mask operator^(Mask a, Mask b) { return Mask(make(Do::mask_xor, {a, b})); }
  friend Mask operator!(Mask a) { return Mask(make(Do::mask_not, {a})); }
  // In the order of 0 and 1.
  friend Mask operator==(Mask a, Mask b) { return !(a ^ b); }
  friend Mask operator!=(Mask a, Mask b) { return a ^ b; }
  friend Mask operator<(Mask a, Mask b) { return (!a) & b; }
  friend Mask operator<=(Mask a, Mask b) { return (!a) | b; }
  friend Mask operator>(Mask a, Mask b) { return b < a; }
  friend Mask operator>=(Mask a, Mask b) { return b <= a; }
  friend Mask opposite(Mask a) { return !a; }
  friend Mask select(Mask mask, Mask yes, Mask no) { return (mask & yes) | ((!mask) & no); }
};

struct NoSign {};
struct HasSign {
  using Signed = void;
};

// An integer; one narrower than a lane is kept there with its sign or with zeros.
template <std::integral T>
class Word : public Value, public std::conditional_t<std::is_signed_v<T>, HasSign, NoSign> {
 public:
  using Number = T;
  static constexpr int kLane = sizeof(T) == 8 ? 64 : 32;

  Word(T x) : Value{.constant = kLane == 64 ? uint64_t(x) : uint32_t(x)} {}
  explicit Word(const Value& value) : Value(value) {}
  explicit Word(Mask mask) : Word(make_select(mask, Word(T(1)), Word(T(0)))) {}
  template <class U>
    requires((sizeof(U) == 8) == (sizeof(T) == 8))
  explicit Word(const Word<U>& x) : Word(holds<U>() ? Value(x) : wrap(x)) {}

  friend Word operator+(Word a, Word b) { return wrap(make(Do::int_add, {a, b})); }
  friend Word operator-(Word a, Word b) { return wrap(make(Do::int_subtract, {a, b})); }
  friend Word operator*(Word a, Word b) { return wrap(make(Do::int_multiply, {a, b})); }
  friend Word operator&(Word a, Word b) { return Word(make(Do::bit_and, {a, b})); }
  friend Word operator|(Word a, Word b) { return Word(make(Do::bit_or, {a, b})); }
  friend Word operator^(Word a, Word b) { return Word(make(Do::bit_xor, {a, b})); }
  friend Word operator~(Word a) { return wrap(make(Do::bit_xor, {a, Value{.constant = kOnes}})); }
  friend Word operator<<(Word a, int n) { return wrap(make(Do::shift_left, {a}, uint64_t(n))); }
  friend Word operator>>(Word a, int n) { return Word(make(kShiftRight, {a}, uint64_t(n))); }

  friend Mask operator==(Word a, Word b) { return Mask(make(Do::int_equal, {a, b})); }
  friend Mask operator!=(Word a, Word b) { return !(a == b); }
  friend Mask operator<(Word a, Word b) { return Mask(make(Do::int_less, {ordered(a), ordered(b)})); }
  friend Mask operator>(Word a, Word b) { return b < a; }
  friend Mask operator<=(Word a, Word b) { return !(b < a); }
  friend Mask operator>=(Word a, Word b) { return !(a < b); }

  friend Word select(Mask mask, Word yes, Word no) { return Word(make_select(mask, yes, no)); }
  friend Word shift_signed(Word a, int n) { return Word(make(Do::shift_right_signed, {a}, uint64_t(n))); }
  friend Word shift_left_by(Word a, Word count) {
    if (const uint64_t* n = constant_of(count)) return *n < kLane ? a << int(*n) : a & Word(T(0));
    return wrap(make(Do::shift_left_by, {a, count}));
  }
  friend Word shift_right_by(Word a, Word count) {
    if (const uint64_t* n = constant_of(count)) {
      if (std::is_signed_v<T>) return a >> int(*n < kLane ? *n : kLane - 1);
      return *n < kLane ? a >> int(*n) : a & Word(T(0));
    }
    return Word(make(std::is_signed_v<T> ? Do::shift_right_signed_by : Do::shift_right_by, {a, count}));
  }

 private:
  static constexpr uint64_t kOnes = kLane == 64 ? ~uint64_t(0) : ~uint32_t(0);
  static constexpr Do kShiftRight = std::is_signed_v<T> ? Do::shift_right_signed : Do::shift_right;

  template <class U>
  static constexpr bool holds() {
    bool same_width = sizeof(T) * 8 == kLane, extends = sizeof(U) < sizeof(T) && std::is_unsigned_v<U>;
    return same_width || extends || (sizeof(U) <= sizeof(T) && std::is_signed_v<U> == std::is_signed_v<T>);
  }
  // What the lane has of its lower bits.
  static Word wrap(const Value& x) {
    constexpr int rest = kLane - int(sizeof(T)) * 8;
    if constexpr (rest == 0)
      return Word(x);
    else if constexpr (std::is_unsigned_v<T>)
      return Word(make(Do::bit_and, {x, Word(T(~T(0)))}));
    else
      return Word(make(Do::shift_right_signed, {make(Do::shift_left, {x}, rest)}, rest));
  }
  // Lanes are compared as signed numbers.
  static Value ordered(const Value& x) {
    if constexpr (std::is_signed_v<T> || sizeof(T) * 8 < kLane) return x;
    constexpr uint64_t sign = uint64_t(1) << (kLane - 1);
    if (const uint64_t* c = constant_of(x)) return Value{.constant = *c ^ sign};
    return make(Do::bit_xor, {x, Value{.constant = sign}});
  }
};

template <std::floating_point C>
class Real : public Value {
 public:
  using Floating = void;
  using Bits = Word<std::conditional_t<sizeof(C) == 8, uint64_t, uint32_t>>;

  Real(C x) : Value{.constant = std::bit_cast<typename Bits::Number>(x)} {}
  explicit Real(const Value& value) : Value(value) {}

  friend Real operator+(Real a, Real b) { return Real(make(Do::add, {a, b})); }
  friend Real operator-(Real a, Real b) { return Real(make(Do::subtract, {a, b})); }
  friend Real operator*(Real a, Real b) { return Real(make(Do::multiply, {a, b})); }
  friend Real operator/(Real a, Real b) { return Real(make(Do::divide, {a, b})); }
  friend Real operator-(Real a) { return Real(make(Do::bit_xor, {a, Bits(kSign)})); }

  friend Mask operator==(Real a, Real b) { return Mask(make(Do::equal, {a, b})); }
  friend Mask operator!=(Real a, Real b) { return Mask(make(Do::not_equal, {a, b})); }
  friend Mask operator<(Real a, Real b) { return Mask(make(Do::less, {a, b})); }
  friend Mask operator<=(Real a, Real b) { return Mask(make(Do::less_equal, {a, b})); }
  friend Mask operator>(Real a, Real b) { return b < a; }
  friend Mask operator>=(Real a, Real b) { return b <= a; }

  friend Real fma(Real a, Real b, Real c) { return Real(make(Do::fma, {a, b, c})); }
  friend Real fms(Real a, Real b, Real c) { return Real(make(Do::fms, {a, b, c})); }
  friend Real fnma(Real a, Real b, Real c) { return Real(make(Do::fnma, {a, b, c})); }
  friend Real sqrt(Real a) { return Real(make(Do::square_root, {a})); }
  friend Real fabs(Real a) { return Real(make(Do::bit_and, {a, Bits(~kSign)})); }
  friend Real floor(Real a) { return Real(make(Do::floor, {a})); }
  friend Real ceil(Real a) { return Real(make(Do::ceil, {a})); }
  friend Real trunc(Real a) { return Real(make(Do::truncate, {a})); }
  friend Real nearbyint(Real a) { return Real(make(Do::nearest, {a})); }
  friend Real select(Mask mask, Real yes, Real no) { return Real(make_select(mask, yes, no)); }
  friend Real choose(Mask mask, Real yes, Real no) { return Real(make(Do::choose, {mask, yes, no})); }
  friend Real seldom(Mask mask, Real yes, Real no) { return Real(make(Do::seldom, {mask, yes, no})); }

  friend Mask less_as_integers(Real a, Real b) { return Mask(make(Do::int_less, {a, b})); }
  friend Bits bits(Real a) { return Bits(Value(a)); }
  friend Mask is_negative(Real a) { return Mask(make(Do::int_less, {a, Bits(typename Bits::Number(0))})); }

 private:
  static constexpr typename Bits::Number kSign = typename Bits::Number(1) << (sizeof(C) * 8 - 1);
};

using Float32 = Real<float>;
using Float64 = Real<double>;
using Uint32 = Word<uint32_t>;
using Uint64 = Word<uint64_t>;

inline Float32 from_bits(Uint32 x) { return Float32(Value(x)); }
inline Float64 from_bits(Uint64 x) { return Float64(Value(x)); }
inline Float32 from_signed(Uint32 x) { return Float32(make(Do::from_int, {x})); }

// Sums of products are fused in all code that is generated.
inline Float32 wide(Float32 x) { return x; }
inline Float32 narrow(Float32 x) { return x; }

inline Float64 product_rest(Float64 a, Float64 b, Float64 product) { return fms(a, b, product); }

inline Float32 at_most(Float32 x, Float32 high) { return Float32(make(Do::int_least, {x, high})); }
inline Float32 at_least(Float32 x, Float32 low) { return Float32(make(Do::int_greatest, {x, low})); }

inline Float64 exp_f64(Float64 x) {
  const Mask rare = less_as_integers(Float64(simd::kExpNormalD), fabs(x));
  return seldom(rare, simd::exp_any_long(x), simd::exp_normal_long(x));
}
inline Float32 exp_f32(Float32 x) {
  const Mask rare = less_as_integers(Float32(simd::kExpNormal), fabs(x));
  return seldom(rare, simd::exp_any(x), simd::exp_normal(x));
}

}  // namespace funcnn::cpu::jit

namespace funcnn::cpu::simd {
namespace {

template <class T>
struct Kin<jit::Word<T>> {
  using Unsigned = jit::Word<std::make_unsigned_t<T>>;
  using Product = jit::Word<T>;
};

}  // namespace
}  // namespace funcnn::cpu::simd
