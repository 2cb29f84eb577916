#include "backends/cpu/simd/arithmetic.h"

#include <type_traits>

#include "backends/cpu/simd/loops.h"

namespace funcnn::cpu::simd {
namespace {

// Division rounds towards minus infinity; by zero it gives 0.
struct FloorDivide {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    if (b == 0) return 0;
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return Negative::apply(std::make_unsigned_t<T>(a));
      T q = T(a / b);
      return T(q - T((a % b != 0) && ((a < 0) != (b < 0))));
    } else {
      return T(a / b);
    }
  }
};
struct Remainder {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    if (b == 0) return 0;
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return 0;
      T r = T(a % b);
      return r != 0 && ((r < 0) != (b < 0)) ? T(r + b) : r;
    } else {
      return T(a % b);
    }
  }
};
// Powers by squaring, for as many bits as the largest exponent of a chunk has; those below zero give 0.
template <class T, int mask>
void power_loop(void* out, const void* a, const void* b, const void*, int64_t n) {
  using U = std::make_unsigned_t<T>;
  constexpr int64_t kChunk = 128;
  const T *x = static_cast<const T*>(a), *y = static_cast<const T*>(b);
  T* o = static_cast<T*>(out);
  for (int64_t i = 0; i < n; i += kChunk) {
    const int64_t count = n - i < kChunk ? n - i : kChunk;
    U base[kChunk], exponent[kChunk], result[kChunk], bits = 0;
    for (int64_t k = 0; k < count; ++k) {
      const T e = y[mask == 2 ? 0 : i + k];
      base[k] = U(x[mask == 1 ? 0 : i + k]);
      exponent[k] = e < T(0) ? U(0) : U(e);
      result[k] = e < T(0) ? U(0) : U(1);
      bits = U(bits | exponent[k]);
    }
    for (;; bits = U(bits >> 1)) {
      if (mask == 2 ? bits & 1 : bits)
        for (int64_t k = 0; k < count; ++k) {
          const U product = Multiply::apply(result[k], base[k]);
          result[k] = exponent[k] & 1 ? product : result[k];
        }
      if (bits <= 1) break;
      for (int64_t k = 0; k < count; ++k) {
        base[k] = Multiply::apply(base[k], base[k]);
        exponent[k] = U(exponent[k] >> 1);
      }
    }
    for (int64_t k = 0; k < count; ++k) o[i + k] = T(result[k]);
  }
}
template <class T>
void add_power_of(Table& t) {
  ComputeFn* entry = t.compute[int(Opcode::power)][DtypeOf<T>::value];
  entry[0] = power_loop<T, 0>;
  entry[1] = power_loop<T, 1>;
  entry[2] = power_loop<T, 2>;
}
template <class... Ts>
void add_powers(Table& t, Types<Ts...>) {
  (add_power_of<Ts>(t), ...);
}

}  // namespace

namespace FUNCNN_ISA {

void add_arithmetic(Table& t) {
  using Wrapping = Types<uint8_t, uint16_t, uint32_t, uint64_t, float, double>;
  add_binary<Add>(t, Opcode::add, Wrapping{});
  add_binary<Subtract>(t, Opcode::subtract, Wrapping{});
  add_binary<Multiply>(t, Opcode::multiply, Wrapping{});
  add_unary<Square>(t, Opcode::square, Wrapping{});
  add_unary<Negative>(t, Opcode::negative, Wrapping{});
  for (Opcode op : {Opcode::add, Opcode::subtract, Opcode::multiply, Opcode::square, Opcode::negative})
    share_unsigned(t, op);
  add_binary<Divide>(t, Opcode::divide, Floats{});
  add_unary<Reciprocal>(t, Opcode::reciprocal, Floats{});
  add_unary<Sqrt>(t, Opcode::sqrt, Floats{});
  add_unary<Rsqrt>(t, Opcode::rsqrt, Floats{});
  add_unary<Abs>(t, Opcode::abs, SignedInts{});
  add_unary<Abs>(t, Opcode::abs, Floats{});
  add_unary<Identity>(t, Opcode::abs, UnsignedInts{});
  add_unary<Sign>(t, Opcode::sign, Reals{});
  add_unary<Floor>(t, Opcode::floor, Floats{});
  add_unary<Ceil>(t, Opcode::ceil, Floats{});
  add_unary<Trunc>(t, Opcode::trunc, Floats{});
  add_unary<Round>(t, Opcode::round, Floats{});
  add_unary<Identity>(t, Opcode::floor, UnsignedInts{});
  for (Opcode op : {Opcode::floor, Opcode::ceil, Opcode::trunc, Opcode::round, Opcode::conjugate, Opcode::real}) {
    for (Dtype d : {Dtype::uint8, Dtype::uint16, Dtype::uint32, Dtype::uint64})
      share_entries(t, op, d, d), t.compute[int(op)][int(d)][0] = t.compute[int(Opcode::floor)][int(d)][0];
    share_unsigned(t, op);
  }
  add_binary<Maximum>(t, Opcode::maximum, Reals{});
  add_binary<Minimum>(t, Opcode::minimum, Reals{});
  using NotNarrow = Types<uint32_t, uint64_t, int32_t, int64_t>;  // those are in division.cpp
  add_binary<FloorDivide>(t, Opcode::floor_divide, NotNarrow{});
  add_binary<Remainder>(t, Opcode::remainder, NotNarrow{});
  add_powers(t, Ints{});
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
