// Elements one at a time: how the reference back end reads, converts and combines them.
#pragma once

#include <cmath>
#include <complex>
#include <cstring>
#include <type_traits>

#include "base/dtype.h"
#include "base/half_from_double.h"
#include "base/shape.h"
#include "graph/opcode.h"
#include "plan/backend.h"

namespace funcnn::reference {

template <class T>
constexpr bool is_complex_type = std::is_same_v<T, complex64_t>;
template <class T>
constexpr bool is_half_type = std::is_same_v<T, float16_t> || std::is_same_v<T, bfloat16_t>;

// Where element `i`, counted in row-major order, lies (in elements).
inline int64_t offset_of(const Shape& shape, const Strides& strides, int64_t i) {
  int64_t offset = 0;
  for (size_t d = shape.size(); d-- > 0;) {
    offset += i % shape[d] * strides[d];
    i /= shape[d];
  }
  return offset;
}

template <class To, class From>
To convert(From x) {
  if constexpr (is_half_type<From>) {
    return convert<To>(float(x));
  } else if constexpr (is_complex_type<From>) {
    if constexpr (is_complex_type<To>)
      return x;
    else if constexpr (std::is_same_v<To, bool>)
      return x != complex64_t(0);
    else
      return convert<To>(x.real());
  } else if constexpr (is_complex_type<To>) {
    return To(float(x), 0);
  } else if constexpr (std::is_same_v<To, bool>) {
    return x != From(0);
  } else if constexpr (is_half_type<To>) {
    return to_half<To>(x);
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    // Out of range the nearest bound. That of 64 bits rounds to one above the largest.
    using Bounds = std::numeric_limits<To>;
    double wide = double(x);
    if (std::isnan(wide)) return 0;
    if (wide <= double(Bounds::min())) return Bounds::min();
    return wide >= double(Bounds::max()) ? Bounds::max() : To(wide);
  } else {
    return To(x);
  }
}

template <class T>
bool is_nan(T x) {
  return x != x;
}

// The order of complex numbers is lexicographic.
template <class T>
bool less(T a, T b) {
  if constexpr (is_complex_type<T>)
    return a.real() != b.real() ? a.real() < b.real() : a.imag() < b.imag();
  else if constexpr (is_half_type<T>)
    return float(a) < float(b);
  else
    return a < b;
}
// The same with NaN after everything.
template <class T>
bool sorts_before(T a, T b) {
  if constexpr (is_half_type<T>) {
    return sorts_before(float(a), float(b));
  } else {
    if (is_nan(a) || is_nan(b)) return is_nan(b) && !is_nan(a);
    return less(a, b);
  }
}

// Both with the first NaN winning.
template <class T>
T larger(T a, T b) {
  return is_nan(a) ? a : is_nan(b) || less(a, b) ? b : a;
}
template <class T>
T smaller(T a, T b) {
  return is_nan(a) ? a : is_nan(b) || less(b, a) ? b : a;
}

// Sums and products; of integers modulo 2^n, of booleans "or" and "and".
template <class T>
T plus(T a, T b) {
  if constexpr (std::is_same_v<T, bool>)
    return a || b;
  else if constexpr (std::is_integral_v<T>)
    return T(uint64_t(a) + uint64_t(b));
  else
    return T(a + b);
}
template <class T>
T times(T a, T b) {
  if constexpr (std::is_same_v<T, bool>)
    return a && b;
  else if constexpr (std::is_integral_v<T>)
    return T(uint64_t(a) * uint64_t(b));
  else
    return T(a * b);
}

// log(exp(a) + exp(b)) of real numbers.
template <class T>
T log_add_exp(T a, T b) {
  if (is_nan(a) || is_nan(b)) return a + b;
  T high = larger(a, b), low = smaller(a, b);
  return std::isinf(high) ? high : high + std::log1p(std::exp(low - high));
}

// What half precision and float32 accumulate in, and back.
template <class T>
auto widen(T x) {
  if constexpr (is_half_type<T>)
    return float(x);
  else
    return x;
}
template <class To, class From>
To narrow(From x) {
  if constexpr (is_half_type<To>)
    return To(float(x));
  else
    return To(x);
}
template <class A, class T>
A convert_wide(T x) {
  if constexpr (is_half_type<T>)
    return A(float(x));
  else
    return A(x);
}

// The result of an opcode on operands of one type T (the condition of `select` apart), in the bits of a cell.
struct Cell {
  alignas(8) std::byte bits[8] = {};
  template <class T>
  T get() const {
    T value;
    std::memcpy(&value, bits, sizeof(T));
    return value;
  }
  template <class T>
  static Cell of(T value) {
    Cell cell;
    std::memcpy(cell.bits, &value, sizeof(T));
    return cell;
  }
};
Cell load(const std::byte* at, Dtype memory, Dtype as);
void store(std::byte* at, Dtype memory, Dtype from, Cell value);

// Element `i`, counted in row-major order, of an operand, and of a dense result.
inline double number_at(const Layout& l, const std::byte* at, int64_t i) {
  return load(at + offset_of(l.shape, l.strides, i) * int64_t(item_size(l.dtype)), l.dtype, Dtype::float64)
      .get<double>();
}
inline void put(const Layout& l, std::byte* at, int64_t i, double value) {
  store(at + i * int64_t(item_size(l.dtype)), l.dtype, Dtype::float64, Cell::of(value));
}
Cell converted(Cell value, Dtype from, Dtype to);
Cell computed(Opcode op, Dtype operands, Cell a, Cell b, Cell c);

}  // namespace funcnn::reference
