// Quotients and remainders that round towards minus infinity: exact where the quotient is small enough for its product
// with the divisor to be. The rest, infinities, NaN and division by zero among it, is left to the scalar functions.
#include <cmath>
#include <type_traits>

#include "backends/cpu/simd/division.h"
#include "backends/cpu/simd/loops.h"
#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

// The entries that were there before these.
template <class T>
ComputeFn scalar_entries[2][3];
template <class T>
ComputeFn& scalar_entry(Opcode op, int mask) {
  return scalar_entries<T>[op == Opcode::remainder][mask];
}

struct Quotient {
  double whole, rest;  // truncated, and with the sign of the dividend
  int exact;
};

FUNCNN_INLINE Quotient divide(float a, float b) {
  double x = a, y = b, size = std::fabs(y);
  double q = std::trunc(x / y), r = fma(-q, y, x);
  // The rounded quotient may have reached the next integer.
  double over = x < 0 ? -r : r;
  double step = over < 0 ? -1.0 : over >= size ? 1.0 : 0.0;
  double towards = (x < 0) != (y < 0) ? -step : step;
  r -= (x < 0 ? -step : step) * size;
  return {q + towards, r, std::fabs(q) < double(1 << 29) ? int(r == r) : 0};
}

// A quotient below 2^22, or 2^51, that was rounded is in the right interval or has reached the end of it, and then the
// remainder, of which one rounding keeps the sign, is on the wrong side.
struct FloorDivide {
  static FUNCNN_INLINE float apply(float a, float b, int& exact) {
    float floor = std::floor(a / b), rest = fma(-floor, b, a);
    exact &= std::fabs(floor) < float(1 << 22) ? int(rest == rest) : 0;
    floor -= rest != 0 && (rest < 0) != (b < 0) ? 1.0f : 0.0f;
    float zero = with_sign(0.0f, from_bits(bits(a) ^ bits(b)));
    return floor == 0 ? zero : floor;
  }
  static FUNCNN_INLINE float wide(float a, float b, int& exact) {
    Quotient q = divide(a, b);
    exact &= q.exact;
    double floor = q.whole - (q.rest != 0 && (q.rest < 0) != (b < 0) ? 1.0 : 0.0);
    float zero = with_sign(0.0f, from_bits(bits(a) ^ bits(b)));
    return floor == 0 ? zero : float(floor);
  }
};

struct Remainder {
  static FUNCNN_INLINE float apply(float a, float b, int& exact) { return wide(a, b, exact); }
  static FUNCNN_INLINE float wide(float a, float b, int& exact) {
    Quotient q = divide(a, b);
    exact &= q.exact;
    float r = float(q.rest);
    float other = (r < 0) != (b < 0) ? r + b : r;
    return r == 0 ? with_sign(0.0f, b) : other;
  }
};

struct FloorDivideLong {
  static FUNCNN_INLINE double apply(double a, double b, int64_t& exact) {
    double floor = std::floor(a / b), rest = fma(-floor, b, a);
    exact &= std::fabs(floor) < 0x1p51 ? int64_t(rest == rest) : 0;
    floor -= rest != 0 && (rest < 0) != (b < 0) ? 1.0 : 0.0;
    double zero = with_sign_long(0.0, from_bits(bits(a) ^ bits(b)));
    return floor == 0 ? zero : floor;
  }
};
// The remainder of the right quotient is exact, but for one of -1, where it is a sum.
struct RemainderLong {
  static FUNCNN_INLINE double apply(double a, double b, int64_t& exact) {
    double floor = std::floor(a / b), rest = fma(-floor, b, a);
    exact &= std::fabs(floor) < 0x1p51 ? int64_t(rest == rest) : 0;
    double other = (rest < 0) != (b < 0) ? rest + b : rest;
    return rest == 0 ? with_sign_long(0.0, b) : other;
  }
};

template <class T, class Op, Opcode op, int mask>
void float_loop(void* out, const void* a, const void* b, const void*, int64_t n) {
  using Flag = std::conditional_t<sizeof(T) == 8, int64_t, int>;
  constexpr int64_t kChunk = 64;
  const T *x = static_cast<const T*>(a), *y = static_cast<const T*>(b);
  T* o = static_cast<T*>(out);
  for (int64_t i = 0; i < n; i += kChunk) {
    // Results go beside: an operand may lie where they belong.
    T result[kChunk];
    int64_t count = n - i < kChunk ? n - i : kChunk;
    Flag exact = 1;
    for (int64_t k = 0; k < count; ++k)
      result[k] = Op::apply(mask == 1 ? x[0] : x[i + k], mask == 2 ? y[0] : y[i + k], exact);
    if (!exact) {
      for (int64_t k = 0; k < count; ++k) {
        const T *left = mask == 1 ? x : x + i + k, *right = mask == 2 ? y : y + i + k;
        Flag one = 1;
        if constexpr (sizeof(T) == 8)
          result[k] = Op::apply(*left, *right, one);
        else
          result[k] = Op::wide(*left, *right, one);
        if (!one) scalar_entry<T>(op, mask)(result + k, left, right, nullptr, 1);
      }
    }
    for (int64_t k = 0; k < count; ++k) o[i + k] = result[k];
  }
}

// Integers of 64 bits whose magnitude is below 2^51 are doubles, and a quotient of two, rounded twice, to a number and
// to the nearest integer, is at most 5/8 away from theirs: the floor is that integer or the one below it. All these
// products are exact.
FUNCNN_INLINE bool fits_double(uint64_t beyond) { return (beyond >> 52) == 0; }
template <class T>
FUNCNN_INLINE uint64_t beyond_double(T x) {
  if constexpr (std::is_signed_v<T>)
    return uint64_t(x) + (uint64_t(1) << 51);
  else
    return x | x << 1;
}
template <class T>
FUNCNN_INLINE double as_double(T x) {
  return from_bits(uint64_t(x) + bits(kShiftD)) - kShiftD;
}
template <class T>
FUNCNN_INLINE T as_integer(double x) {
  return T(bits(x + kShiftD) - bits(kShiftD));
}
struct LongFloorDivide {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    const double x = as_double(a), y = as_double(b), q = nearest(x / y), rest = x - q * y;
    const double floor = q - (((rest < 0.0) & (y > 0.0)) | ((rest > 0.0) & (y < 0.0)) ? 1.0 : 0.0);
    return b == T(0) ? T(0) : as_integer<T>(floor);
  }
};
struct LongRemainder {
  template <class T>
  static FUNCNN_INLINE T apply(T a, T b) {
    const double x = as_double(a), y = as_double(b), q = nearest(x / y), rest = x - q * y;
    const double below = rest + (((rest < 0.0) & (y > 0.0)) | ((rest > 0.0) & (y < 0.0)) ? y : 0.0);
    return b == T(0) ? T(0) : as_integer<T>(below);
  }
};

template <class T, class Op, Opcode op, int mask>
void long_loop(void* out, const void* a, const void* b, const void*, int64_t n) {
  constexpr int64_t kChunk = 128;
  const T *x = static_cast<const T*>(a), *y = static_cast<const T*>(b);
  T* o = static_cast<T*>(out);
  for (int64_t i = 0; i < n; i += kChunk) {
    const int64_t count = n - i < kChunk ? n - i : kChunk;
    const T *left = mask == 1 ? x : x + i, *right = mask == 2 ? y : y + i;
    uint64_t beyond = 0;
    for (int64_t k = 0; k < count; ++k)
      beyond |= beyond_double(left[mask == 1 ? 0 : k]) | beyond_double(right[mask == 2 ? 0 : k]);
    if (!fits_double(beyond)) {
      scalar_entry<T>(op, mask)(o + i, left, right, nullptr, count);
      continue;
    }
    // Results go beside: an operand may lie where they belong.
    T result[kChunk];
    for (int64_t k = 0; k < count; ++k) result[k] = Op::apply(left[mask == 1 ? 0 : k], right[mask == 2 ? 0 : k]);
    for (int64_t k = 0; k < count; ++k) o[i + k] = result[k];
  }
}

// Loops that leave to the entries that are there what they cannot do.
template <class T>
void add_before(Table& t, Opcode op, const ComputeFn (&loops)[3]) {
  ComputeFn* entry = t.compute[int(op)][DtypeOf<T>::value];
  for (int mask = 0; mask < 3; ++mask) {
    scalar_entry<T>(op, mask) = entry[mask];
    entry[mask] = loops[mask];
  }
}
template <class T, class Op, Opcode op>
void add_long(Table& t) {
  add_before<T>(t, op, {long_loop<T, Op, op, 0>, long_loop<T, Op, op, 1>, long_loop<T, Op, op, 2>});
}
template <class T, class Op, Opcode op>
void add_float(Table& t) {
  add_before<T>(t, op, {float_loop<T, Op, op, 0>, float_loop<T, Op, op, 1>, float_loop<T, Op, op, 2>});
}

}  // namespace

namespace FUNCNN_ISA {

void add_division(Table& t) {
  using Narrow = Types<int8_t, uint8_t, int16_t, uint16_t>;
  add_binary<NarrowFloorDivide>(t, Opcode::floor_divide, Narrow{});
  add_binary<NarrowRemainder>(t, Opcode::remainder, Narrow{});
  add_long<int64_t, LongFloorDivide, Opcode::floor_divide>(t);
  add_long<int64_t, LongRemainder, Opcode::remainder>(t);
  add_long<uint64_t, LongFloorDivide, Opcode::floor_divide>(t);
  add_long<uint64_t, LongRemainder, Opcode::remainder>(t);
#if defined(FUNCNN_FMA)
  add_float<float, FloorDivide, Opcode::floor_divide>(t);
  add_float<float, Remainder, Opcode::remainder>(t);
  add_float<double, FloorDivideLong, Opcode::floor_divide>(t);
  add_float<double, RemainderLong, Opcode::remainder>(t);
#endif
#if defined(__AVX512DQ__) || defined(__aarch64__)
  // Elsewhere doubles become integers of 64 bits one by one.
  add_binary<IntFloorDivide>(t, Opcode::floor_divide, Types<int32_t, uint32_t>{});
  add_binary<IntRemainder>(t, Opcode::remainder, Types<int32_t, uint32_t>{});
#endif
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
