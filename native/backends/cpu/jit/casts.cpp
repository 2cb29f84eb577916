#include "backends/cpu/jit/casts.h"

#include <limits>

#include "backends/cpu/jit/functions.h"

namespace funcnn::cpu::jit {
namespace {

// A 32-bit unsigned integer: halves that are exact, and one rounding.
Float32 from_unsigned(Uint32 x) { return fma(from_signed(x >> 16), Float32(65536.0f), from_signed(x & 0xffffu)); }

// base/to_integer.h: towards zero, at most as far as the range of T, 0 for NaN.
template <class T>
Word<T> to_integer(Float32 x) {
  using Bounds = std::numeric_limits<T>;
  constexpr bool exact = Bounds::digits <= std::numeric_limits<float>::digits;
  constexpr float limit = float(Bounds::max() / 2 + 1) * 2.0f;  // the first number beyond
  Float32 y =
      select(x == x, simd::clamp(x, Float32(float(Bounds::min())), Float32(exact ? limit - 1.0f : limit)), 0.0f);
  auto to_signed = [](Float32 v) { return Uint32(make(Do::to_int, {v})); };
  if constexpr (exact) {
    return Word<T>(Word<int32_t>(to_signed(y)));
  } else if constexpr (std::is_signed_v<T>) {
    return select(y == limit, Word<T>(Bounds::max()), Word<T>(to_signed(y)));
  } else {
    // The upper half of the range moves down where signed numbers are.
    constexpr float middle = 2147483648.0f;
    Mask upper = y >= middle;
    Word<T> inside = to_signed(select(upper, y - middle, y)) ^ select(upper, Uint32(0x80000000u), Uint32(0u));
    return select(y == limit, Word<T>(Bounds::max()), inside);
  }
}

template <class From>
Float32 to_float(Word<From> x) {
  if constexpr (std::is_same_v<From, uint32_t>)
    return from_unsigned(x);
  else
    return from_signed(Uint32(x));
}
Float32 to_float(Float32 x) { return x; }
Float32 to_float(Mask x) { return select(x, Float32(1.0f), Float32(0.0f)); }

template <class V>
Value cast(V x, Dtype to) {
  constexpr bool is_mask = std::is_same_v<V, Mask>, is_float = std::is_same_v<V, Float32>;
  auto integer = [&]<class T>(T) -> Value {
    if constexpr (is_float)
      return to_integer<T>(x);
    else
      return Word<T>(x);
  };
  switch (to) {
    case Dtype::bool_:
      if constexpr (is_mask)
        return x;
      else if constexpr (is_float)
        return x != 0.0f;
      else
        return x != V(typename V::Number(0));
    case Dtype::uint8:
      return integer(uint8_t());
    case Dtype::uint16:
      return integer(uint16_t());
    case Dtype::uint32:
      return integer(uint32_t());
    case Dtype::int8:
      return integer(int8_t());
    case Dtype::int16:
      return integer(int16_t());
    case Dtype::int32:
      return integer(int32_t());
    case Dtype::float16:
      return round_half(to_float(x));
    case Dtype::bfloat16:
      return round_brain(to_float(x));
    case Dtype::float32:
      return to_float(x);
    default:
      return {};
  }
}

// Of 8 bytes: those that move bits or choose.
Value cast_wide(const Value& x, Dtype to, Dtype from) {
  const bool real = from == Dtype::float64;
  if (to == Dtype::bool_) return real ? Float64(x) != 0.0 : Uint64(x) != Uint64(0);
  if (from == Dtype::bool_) return to == Dtype::float64 ? make_select(x, Float64(1.0), Float64(0.0)) : Uint64(Mask(x));
  return is_integer(from) && is_integer(to) ? x : Value{};
}

}  // namespace

int record_cast(Line& line, Dtype to, Dtype from, int value) {
  if (to == from) return value;
  const Value x{&line, value};
  Value result;
  if (line.wide) {
    auto fits = [](Dtype d) { return d == Dtype::bool_ || (item_size(d) == 8 && !is_complex(d)); };
    if (fits(to) && fits(from)) result = cast_wide(x, to, from);
    return result.line ? result.node : -1;
  }
  switch (from) {
    case Dtype::bool_:
      result = cast(Mask(x), to);
      break;
    case Dtype::uint8:
      result = cast(Word<uint8_t>(x), to);
      break;
    case Dtype::uint16:
      result = cast(Word<uint16_t>(x), to);
      break;
    case Dtype::uint32:
      result = cast(Word<uint32_t>(x), to);
      break;
    case Dtype::int8:
      result = cast(Word<int8_t>(x), to);
      break;
    case Dtype::int16:
      result = cast(Word<int16_t>(x), to);
      break;
    case Dtype::int32:
      result = cast(Word<int32_t>(x), to);
      break;
    case Dtype::float16:
    case Dtype::bfloat16:
    case Dtype::float32:
      result = cast(Float32(x), to);
      break;
    default:
      break;
  }
  return result.line ? result.node : -1;
}

}  // namespace funcnn::cpu::jit
