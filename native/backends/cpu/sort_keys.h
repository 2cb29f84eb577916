// Signed numbers that order as values do: NaN (any) last, -0 equal to 0. Everything has internal linkage, since code
// for each instruction set includes it: see simd/table.h.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "base/half.h"
#include "base/inline.h"

namespace funcnn::cpu {
namespace {

template <class T>
using KeyType = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;

template <class T>
struct Key {
  using type = KeyType<T>;
  static constexpr bool changes = std::is_unsigned_v<T> && sizeof(T) >= 4;
  static constexpr type first = changes ? std::numeric_limits<type>::min() : 0;
  static FUNCNN_INLINE type of(T value) { return type(type(value) ^ first); }
  static FUNCNN_INLINE T value(type key) { return T(key ^ first); }
};

// Of floats, zeros of both signs have one key, and so do all NaN.
template <class T, class Bits, Bits infinity>
struct FloatKey {
  using type = KeyType<T>;
  static constexpr type zero = 0, nan = std::numeric_limits<Bits>::max();
  static FUNCNN_INLINE type bits(T value) { return std::bit_cast<Bits>(value); }
  // Without branches, which signs by chance would send the wrong way.
  static FUNCNN_INLINE type of(T value) {
    const type word = bits(value), negative = word >> (sizeof(Bits) * 8 - 1), size = word & nan;
    return size > infinity ? nan : type((size ^ negative) - negative);
  }
  static FUNCNN_INLINE T value(type key) {
    const type negative = key >> (sizeof(type) * 8 - 1), size = type((key ^ negative) - negative);
    return std::bit_cast<T>(Bits(key == nan ? infinity | infinity >> 1 : size | (negative & ~type(nan))));
  }
};
template <>
struct Key<float> : FloatKey<float, int32_t, 0x7f800000> {};
template <>
struct Key<double> : FloatKey<double, int64_t, 0x7ff0000000000000> {};
template <>
struct Key<float16_t> : FloatKey<float16_t, int16_t, 0x7c00> {};
template <>
struct Key<bfloat16_t> : FloatKey<bfloat16_t, int16_t, 0x7f80> {};

}  // namespace
}  // namespace funcnn::cpu
