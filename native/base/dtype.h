// Element types, their sizes, names and promotion.
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/half.h"

namespace funcnn {

enum class Dtype : uint8_t {
  bool_,
  uint8,
  uint16,
  uint32,
  uint64,
  int8,
  int16,
  int32,
  int64,
  float16,
  bfloat16,
  float32,
  float64,
  complex64,
};
inline constexpr int kDtypeCount = 14;

using complex64_t = std::complex<float>;

constexpr size_t item_size(Dtype dtype) {
  constexpr uint8_t sizes[kDtypeCount] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8, 8};
  return sizes[int(dtype)];
}
constexpr std::string_view dtype_name(Dtype dtype) {
  constexpr std::string_view names[kDtypeCount] = {"bool",     "uint8",   "uint16",  "uint32",   "uint64",
                                                   "int8",     "int16",   "int32",   "int64",    "float16",
                                                   "bfloat16", "float32", "float64", "complex64"};
  return names[int(dtype)];
}
template <class Stream>
  requires requires(Stream& s) { s << std::string_view(); }
Stream& operator<<(Stream& out, Dtype dtype) {
  out << dtype_name(dtype);
  return out;
}

constexpr bool is_float(Dtype d) { return d >= Dtype::float16 && d <= Dtype::float64; }
constexpr bool is_half(Dtype d) { return d == Dtype::float16 || d == Dtype::bfloat16; }
constexpr bool is_complex(Dtype d) { return d == Dtype::complex64; }
// Differentiable: real or complex floating point.
constexpr bool is_inexact(Dtype d) { return d >= Dtype::float16; }
constexpr bool is_unsigned(Dtype d) { return d >= Dtype::uint8 && d <= Dtype::uint64; }
constexpr bool is_signed(Dtype d) { return d >= Dtype::int8 && d <= Dtype::int64; }
constexpr bool is_integer(Dtype d) { return d >= Dtype::uint8 && d <= Dtype::int64; }

// The dtype of an operation on two arrays (MLX's table: uint64 with a signed integer gives float32).
Dtype promote_types(Dtype a, Dtype b);

template <class T>
struct TypeTag {
  using type = T;
};

// Call f(TypeTag<T>{}) with the C++ type that stores a dtype (bool is stored as one byte, 0 or 1).
template <class F>
decltype(auto) visit_dtype(Dtype dtype, F&& f) {
  switch (dtype) {
    case Dtype::bool_:
      return f(TypeTag<bool>{});
    case Dtype::uint8:
      return f(TypeTag<uint8_t>{});
    case Dtype::uint16:
      return f(TypeTag<uint16_t>{});
    case Dtype::uint32:
      return f(TypeTag<uint32_t>{});
    case Dtype::uint64:
      return f(TypeTag<uint64_t>{});
    case Dtype::int8:
      return f(TypeTag<int8_t>{});
    case Dtype::int16:
      return f(TypeTag<int16_t>{});
    case Dtype::int32:
      return f(TypeTag<int32_t>{});
    case Dtype::int64:
      return f(TypeTag<int64_t>{});
    case Dtype::float16:
      return f(TypeTag<float16_t>{});
    case Dtype::bfloat16:
      return f(TypeTag<bfloat16_t>{});
    case Dtype::float32:
      return f(TypeTag<float>{});
    case Dtype::float64:
      return f(TypeTag<double>{});
    case Dtype::complex64:
      break;
  }
  return f(TypeTag<complex64_t>{});
}

}  // namespace funcnn
