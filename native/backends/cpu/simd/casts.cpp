// Conversions between all real element types; arithmetic on half precision happens in float32.
#include <type_traits>

#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

struct Half {
  uint16_t bits;
};
struct Brain {
  uint16_t bits;
};
struct Bool {
  uint8_t value;
};

FUNCNN_INLINE float widen(Half h) {
  uint32_t sign = uint32_t(h.bits & 0x8000u) << 16, rest = h.bits & 0x7fffu;
  float normal = from_bits(int32_t((rest << 13) + 0x38000000u));
  float special = from_bits(int32_t(0x7f800000u | ((rest & 0x3ffu) << 13)));
  float subnormal = float(int32_t(rest)) * 5.9604644775390625e-8f;  // 2^-24
  float m = rest >= 0x7c00u ? special : normal;
  m = rest < 0x400u ? subnormal : m;
  return from_bits(int32_t(uint32_t(bits(m)) | sign));
}
FUNCNN_INLINE float widen(Brain h) { return from_bits(int32_t(uint32_t(h.bits) << 16)); }

FUNCNN_INLINE Half narrow_half(float x) {
  uint32_t b = uint32_t(bits(x)), sign = (b >> 16) & 0x8000u, m = b & 0x7fffffffu;
  uint32_t normal = (m + 0xc8000fffu + ((m >> 13) & 1u)) >> 13;
  uint32_t subnormal = uint32_t(bits(from_bits(int32_t(m)) + 0.5f)) - 0x3f000000u;
  uint32_t r = m < 0x38800000u ? subnormal : normal;
  r = m >= 0x477ff000u ? 0x7c00u : r;
  r = m > 0x7f800000u ? 0x7e00u : r;
  return {uint16_t(sign | r)};
}
FUNCNN_INLINE Brain narrow_brain(float x) {
  uint32_t b = uint32_t(bits(x));
  uint32_t rounded = (b + 0x7fffu + ((b >> 16) & 1u)) >> 16;
  return {uint16_t((b & 0x7fffffffu) > 0x7f800000u ? (b >> 16) | 0x40u : rounded)};
}

template <class To, class From>
FUNCNN_INLINE To convert(From x) {
  if constexpr (std::is_same_v<From, Half> || std::is_same_v<From, Brain>) {
    return convert<To>(widen(x));
  } else if constexpr (std::is_same_v<From, Bool>) {
    return convert<To>(x.value);
  } else if constexpr (std::is_same_v<To, Bool>) {
    return {uint8_t(x != From(0))};
  } else if constexpr (std::is_same_v<To, Half>) {
    return narrow_half(float(x));
  } else if constexpr (std::is_same_v<To, Brain>) {
    return narrow_brain(float(x));
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To> && sizeof(To) < 4) {
    return To(int32_t(x));
  } else if constexpr (std::is_floating_point_v<From> && std::is_same_v<To, uint32_t>) {
    return To(int64_t(x));
  } else if constexpr (std::is_floating_point_v<From> && std::is_same_v<To, uint64_t>) {
    return x < From(0) ? To(int64_t(x)) : To(x);
  } else {
    return To(x);
  }
}

template <class To, class From>
void cast_loop(void* out, const void* in, int64_t n) {
  To* FUNCNN_RESTRICT o = static_cast<To*>(out);
  const From* FUNCNN_RESTRICT x = static_cast<const From*>(in);
  for (int64_t i = 0; i < n; ++i) o[i] = convert<To>(x[i]);
}

struct RoundHalf {
  static FUNCNN_INLINE float apply(float x) { return widen(narrow_half(x)); }
};
struct RoundBrain {
  static FUNCNN_INLINE float apply(float x) { return widen(narrow_brain(x)); }
};

template <class T>
struct Of : DtypeOf<T> {};
// clang-format off
template <> struct Of<Half> { static constexpr int value = int(Dtype::float16); };
template <> struct Of<Brain> { static constexpr int value = int(Dtype::bfloat16); };
template <> struct Of<Bool> { static constexpr int value = int(Dtype::bool_); };
// clang-format on

template <class To, class... From>
void add_to(Table& t, Types<From...>) {
  ((t.cast[Of<To>::value][Of<From>::value] = cast_loop<To, From>), ...);
}
using All =
    Types<Bool, uint8_t, uint16_t, uint32_t, uint64_t, int8_t, int16_t, int32_t, int64_t, Half, Brain, float, double>;
template <class... To>
void add_all(Table& t, Types<To...>) {
  (add_to<To>(t, All{}), ...);
}

}  // namespace

namespace FUNCNN_ISA {

void add_casts(Table& t) {
  add_all(t, All{});
  add_unary_one<RoundHalf, float>(t, Opcode::round_float16);
  add_unary_one<RoundBrain, float>(t, Opcode::round_bfloat16);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
