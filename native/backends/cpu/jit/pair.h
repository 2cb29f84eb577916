// float64 in the middle of float32: values of 8 bytes, each as two halves of the elements.
#pragma once

#include <concepts>
#include <cstdint>

#include "backends/cpu/jit/value.h"

namespace funcnn::cpu::jit {

template <class T>
struct Pair {
  T first, second;

  Pair(T a, T b) : first(a), second(b) {}
  template <class C>
    requires(std::is_arithmetic_v<C> && std::constructible_from<T, C>)
  Pair(C constant) : first(constant), second(constant) {}
  Pair(Mask mask)
    requires std::same_as<T, Mask>
      : first(make(Do::mask_first, {mask})), second(make(Do::mask_second, {mask})) {}

  friend Pair operator+(Pair a, Pair b) { return {a.first + b.first, a.second + b.second}; }
  friend Pair operator-(Pair a, Pair b) { return {a.first - b.first, a.second - b.second}; }
  friend Pair operator*(Pair a, Pair b) { return {a.first * b.first, a.second * b.second}; }
  friend Pair operator/(Pair a, Pair b) { return {a.first / b.first, a.second / b.second}; }
  friend Pair operator&(Pair a, Pair b) { return {a.first & b.first, a.second & b.second}; }
  friend Pair operator|(Pair a, Pair b) { return {a.first | b.first, a.second | b.second}; }
  friend Pair operator^(Pair a, Pair b) { return {a.first ^ b.first, a.second ^ b.second}; }
  friend Pair operator-(Pair a) { return {-a.first, -a.second}; }
  friend Pair operator!(Pair a) { return {!a.first, !a.second}; }
  friend Pair operator<<(Pair a, int n) { return {a.first << n, a.second << n}; }
  friend Pair operator>>(Pair a, int n) { return {a.first >> n, a.second >> n}; }

  friend Pair<Mask> operator==(Pair a, Pair b) { return {a.first == b.first, a.second == b.second}; }
  friend Pair<Mask> operator!=(Pair a, Pair b) { return {a.first != b.first, a.second != b.second}; }
  friend Pair<Mask> operator<(Pair a, Pair b) { return {a.first < b.first, a.second < b.second}; }
  friend Pair<Mask> operator<=(Pair a, Pair b) { return {a.first <= b.first, a.second <= b.second}; }
  friend Pair<Mask> operator>(Pair a, Pair b) { return {a.first > b.first, a.second > b.second}; }
  friend Pair<Mask> operator>=(Pair a, Pair b) { return {a.first >= b.first, a.second >= b.second}; }
  friend Pair<Mask> is_negative(Pair a) { return {is_negative(a.first), is_negative(a.second)}; }

  friend Pair fma(Pair a, Pair b, Pair c) {
    return {fma(a.first, b.first, c.first), fma(a.second, b.second, c.second)};
  }
  friend Pair sqrt(Pair a) { return {sqrt(a.first), sqrt(a.second)}; }
  friend Pair fabs(Pair a) { return {fabs(a.first), fabs(a.second)}; }
  friend Pair floor(Pair a) { return {floor(a.first), floor(a.second)}; }
  friend Pair select(Pair<Mask> mask, Pair yes, Pair no) {
    return {select(mask.first, yes.first, no.first), select(mask.second, yes.second, no.second)};
  }
};

using WidePair = Pair<Float64>;

inline Pair<Uint64> bits(WidePair x) { return {bits(x.first), bits(x.second)}; }
inline WidePair from_bits(Pair<Uint64> x) { return {from_bits(x.first), from_bits(x.second)}; }

inline WidePair constant_beside(WidePair x, double constant) {
  Line* line = x.first.line;
  const Float64 bound(Value{line, Float64(constant).in(*line, true)});
  return {bound, bound};
}

inline WidePair widen(Float32 x) { return {Float64(make(Do::widen_first, {x})), Float64(make(Do::widen_second, {x}))}; }
inline Float32 narrow(WidePair x) { return Float32(make(Do::narrow, {x.first, x.second})); }

inline WidePair widen(Word<int32_t> x) {
  return {Float64(make(Do::widen_int_first, {x})), Float64(make(Do::widen_int_second, {x}))};
}
inline WidePair widen(Word<uint32_t> x) {
  const WidePair y = widen(Word<int32_t>(x));
  return select(y < 0.0, y + 4294967296.0, y);
}
inline Word<int32_t> low_bits(WidePair x) {
  WidePair y = select(x < 2147483648.0, x, x - 4294967296.0);
  return Word<int32_t>(make(Do::narrow_to_int, {y.first, y.second}));
}

}  // namespace funcnn::cpu::jit
