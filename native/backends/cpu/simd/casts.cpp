// Conversions between all real element types; arithmetic on half precision happens in float32.
#include <type_traits>

#include "backends/cpu/simd/loops.h"
#include "base/half_from_double.h"
#include "base/to_integer.h"

namespace funcnn::cpu::simd {
namespace {

struct Bool {
  uint8_t value;
};

FUNCNN_INLINE float widen(float16_t x) { return float16_bits_to_float(x.bits); }
FUNCNN_INLINE float widen(bfloat16_t x) { return bfloat16_bits_to_float(x.bits); }

template <class To, class From>
FUNCNN_INLINE To convert(From x) {
  if constexpr (std::is_same_v<From, float16_t> || std::is_same_v<From, bfloat16_t>) {
    return convert<To>(widen(x));
  } else if constexpr (std::is_same_v<From, Bool>) {
    return convert<To>(x.value);
  } else if constexpr (std::is_same_v<To, Bool>) {
    return {uint8_t(x != From(0))};
  } else if constexpr (std::is_same_v<To, float16_t> || std::is_same_v<To, bfloat16_t>) {
    return to_half<To>(x);
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    return to_integer<To>(x);
  } else {
    return To(x);
  }
}

template <class To, class From>
void cast_loop(void* out, const void* in, int64_t n) {
  To* FUNCNN_RESTRICT o = static_cast<To*>(out);
  const From* FUNCNN_RESTRICT x = static_cast<const From*>(in);
  if constexpr (std::is_same_v<From, double> && (std::is_same_v<To, float16_t> || std::is_same_v<To, bfloat16_t>)) {
    // In steps of which each has one width of numbers to choose between.
    constexpr int64_t kBlock = 256;
    for (int64_t begin = 0; begin < n; begin += kBlock, x += kBlock, o += kBlock) {
      const int64_t count = n - begin < kBlock ? n - begin : kBlock;
      float near[kBlock];
      for (int64_t i = 0; i < count; ++i) near[i] = before_rounding_to<To>(x[i]);
      for (int64_t i = 0; i < count; ++i) o[i] = To(near[i]);
    }
  } else {
    for (int64_t i = 0; i < n; ++i) o[i] = convert<To>(x[i]);
  }
}

struct RoundHalf {
  template <class T>
  static FUNCNN_INLINE T apply(T x) {
    return widen(to_half<float16_t>(x));
  }
};
struct RoundBrain {
  template <class T>
  static FUNCNN_INLINE T apply(T x) {
    return widen(to_half<bfloat16_t>(x));
  }
};

template <class T>
struct Of : DtypeOf<T> {};
// clang-format off
template <> struct Of<float16_t> { static constexpr int value = int(Dtype::float16); };
template <> struct Of<bfloat16_t> { static constexpr int value = int(Dtype::bfloat16); };
template <> struct Of<Bool> { static constexpr int value = int(Dtype::bool_); };
// clang-format on

template <class To, class... From>
void add_to(Table& t, Types<From...>) {
  ((t.cast[Of<To>::value][Of<From>::value] = cast_loop<To, From>), ...);
}
using All = Types<Bool, uint8_t, uint16_t, uint32_t, uint64_t, int8_t, int16_t, int32_t, int64_t, float16_t, bfloat16_t,
                  float, double>;
template <class... To>
void add_all(Table& t, Types<To...>) {
  (add_to<To>(t, All{}), ...);
}

}  // namespace

namespace FUNCNN_ISA {

void add_casts(Table& t) {
  add_all(t, All{});
  add_unary_one<RoundHalf, float>(t, Opcode::round_float16);
  add_unary_one<RoundHalf, double>(t, Opcode::round_float16);
  add_unary_one<RoundBrain, float>(t, Opcode::round_bfloat16);
  add_unary_one<RoundBrain, double>(t, Opcode::round_bfloat16);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
