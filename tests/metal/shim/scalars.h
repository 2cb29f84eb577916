// Scalar types of Metal. half and bfloat are classes: not every clang from 14 on has them for every processor.
#pragma once

typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long int64_t;
typedef unsigned long uint64_t;
typedef unsigned long size_t;
typedef long ptrdiff_t;
typedef unsigned long uintptr_t;
typedef long intptr_t;
typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;

namespace metal {

template <class T>
constexpr bool __is_native_integer = false;
template <>
inline constexpr bool __is_native_integer<bool> = true;
template <>
inline constexpr bool __is_native_integer<char> = true;
template <>
inline constexpr bool __is_native_integer<signed char> = true;
template <>
inline constexpr bool __is_native_integer<uchar> = true;
template <>
inline constexpr bool __is_native_integer<short> = true;
template <>
inline constexpr bool __is_native_integer<ushort> = true;
template <>
inline constexpr bool __is_native_integer<int> = true;
template <>
inline constexpr bool __is_native_integer<uint> = true;
template <>
inline constexpr bool __is_native_integer<long> = true;
template <>
inline constexpr bool __is_native_integer<ulong> = true;
template <>
inline constexpr bool __is_native_integer<long long> = true;
template <>
inline constexpr bool __is_native_integer<unsigned long long> = true;

template <bool condition, class T = void>
struct enable_if {};
template <class T>
struct enable_if<true, T> {
  using type = T;
};
template <bool condition, class T = void>
using enable_if_t = typename enable_if<condition, T>::type;

// IEEE binary16, rounded to nearest even.
struct __binary16 {
  static constexpr bool from_float_is_implicit = true;

  static constexpr ushort encode(float value) {
    uint bits = __builtin_bit_cast(uint, value), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
    if (rest > 0x7f800000) return ushort(sign | 0x7e00 | (rest >> 13 & 0x3ff));
    if (rest >= 0x477ff000) return ushort(sign | 0x7c00);
    if (rest < 0x38800000) {  // subnormal or zero: the sum rounds at 2^-24
      float tiny = __builtin_bit_cast(float, rest) + 0.5f;
      return ushort(sign | (__builtin_bit_cast(uint, tiny) - 0x3f000000));
    }
    return ushort(sign | ((rest + 0xfff + (rest >> 13 & 1) - 0x38000000) >> 13));
  }

  static constexpr float decode(ushort bits) {
    uint sign = uint(bits & 0x8000) << 16, rest = bits & 0x7fff;
    if (rest >= 0x7c00) return __builtin_bit_cast(float, sign | 0x7f800000 | (rest & 0x3ff) << 13);
    if (rest >= 0x0400) return __builtin_bit_cast(float, sign | ((rest << 13) + 0x38000000));
    float magnitude = float(rest) * 0x1p-24f;
    return __builtin_bit_cast(float, sign | __builtin_bit_cast(uint, magnitude));
  }
};

// The upper half of a float. Other floats become one only where the program says so (Metal 3.1).
struct __brain16 {
  static constexpr bool from_float_is_implicit = false;

  static constexpr ushort encode(float value) {
    uint bits = __builtin_bit_cast(uint, value);
    if ((bits & 0x7fffffff) > 0x7f800000) return ushort(bits >> 16 | 0x40);
    return ushort((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
  static constexpr float decode(ushort bits) { return __builtin_bit_cast(float, uint(bits) << 16); }
};

// Every operation on two of a kind, or on one and an integer, rounds to the kind; with a float, float prevails.
template <class Format>
struct __small_float {
  ushort bits;

  __small_float() = default;
  template <class I, class = enable_if_t<__is_native_integer<I>>>
  constexpr __small_float(I value) : bits(Format::encode(float(value))) {}
  template <class F, enable_if_t<__is_same(F, float) && Format::from_float_is_implicit, int> = 0>
  constexpr __small_float(F value) : bits(Format::encode(value)) {}
  template <class F, enable_if_t<__is_same(F, float) && !Format::from_float_is_implicit, int> = 0>
  explicit constexpr __small_float(F value) : bits(Format::encode(value)) {}
  template <class Other>
  explicit constexpr __small_float(__small_float<Other> value) : bits(Format::encode(float(value))) {}

  constexpr operator float() const { return Format::decode(bits); }

  constexpr __small_float operator-() const { return of_bits(ushort(bits ^ 0x8000)); }
  constexpr __small_float operator+() const { return *this; }
  constexpr __small_float& operator++() { return *this += __small_float(1); }
  constexpr __small_float& operator--() { return *this -= __small_float(1); }
  constexpr __small_float operator++(int) {
    __small_float old = *this;
    ++*this;
    return old;
  }
  constexpr __small_float operator--(int) {
    __small_float old = *this;
    --*this;
    return old;
  }

#define METAL_OPERATOR(op)                                                               \
  friend constexpr __small_float operator op(__small_float a, __small_float b) {         \
    return rounded(float(a) op float(b));                                                \
  }                                                                                      \
  template <class I, class = enable_if_t<__is_native_integer<I>>>                        \
  friend constexpr __small_float operator op(__small_float a, I b) {                     \
    return rounded(float(a) op float(__small_float(b)));                                 \
  }                                                                                      \
  template <class I, class = enable_if_t<__is_native_integer<I>>>                        \
  friend constexpr __small_float operator op(I a, __small_float b) {                     \
    return rounded(float(__small_float(a)) op float(b));                                 \
  }                                                                                      \
  friend constexpr float operator op(__small_float a, float b) { return float(a) op b; } \
  friend constexpr float operator op(float a, __small_float b) { return a op float(b); } \
  template <class A>                                                                     \
  constexpr __small_float& operator op## = (A b) {                                       \
    return *this = __small_float(*this op b);                                            \
  }
  METAL_OPERATOR(+)
  METAL_OPERATOR(-)
  METAL_OPERATOR(*)
  METAL_OPERATOR(/)
#undef METAL_OPERATOR

#define METAL_OPERATOR(op)                                                                             \
  friend constexpr bool operator op(__small_float a, __small_float b) { return float(a) op float(b); } \
  friend constexpr bool operator op(__small_float a, float b) { return float(a) op b; }                \
  friend constexpr bool operator op(float a, __small_float b) { return a op float(b); }                \
  template <class I, class = enable_if_t<__is_native_integer<I>>>                                      \
  friend constexpr bool operator op(__small_float a, I b) {                                            \
    return float(a) op float(__small_float(b));                                                        \
  }                                                                                                    \
  template <class I, class = enable_if_t<__is_native_integer<I>>>                                      \
  friend constexpr bool operator op(I a, __small_float b) {                                            \
    return float(__small_float(a)) op float(b);                                                        \
  }
  METAL_OPERATOR(==)
  METAL_OPERATOR(!=)
  METAL_OPERATOR(<)
  METAL_OPERATOR(>)
  METAL_OPERATOR(<=)
  METAL_OPERATOR(>=)
#undef METAL_OPERATOR

  static constexpr __small_float of_bits(ushort bits) {
    __small_float result{};
    result.bits = bits;
    return result;
  }

 private:
  static constexpr __small_float rounded(float value) { return of_bits(Format::encode(value)); }
};

}  // namespace metal

using half = metal::__small_float<metal::__binary16>;
using bfloat = metal::__small_float<metal::__brain16>;
