// Arrays from nothing but numbers.
#pragma once

#include <string_view>

#include "graph/array.h"
#include "ops/rules.h"

namespace funcnn {

// A whole number that some integer dtype holds, from -2^63 to 2^64 - 1.
struct Integer {
  uint64_t bits;
  bool negative;
  constexpr Integer(int64_t value) : bits(uint64_t(value)), negative(value < 0) {}  // NOLINT: they are the same
  static constexpr Integer natural(uint64_t value) {
    Integer made(0);
    made.bits = value;
    return made;
  }
  constexpr bool operator==(const Integer&) const = default;
  constexpr bool operator<(Integer other) const { return negative != other.negative ? negative : bits < other.bits; }
  constexpr double real() const { return negative ? double(int64_t(bits)) : double(bits); }
};

// The flat element number at every position.
Array iota(const Shape& shape, Dtype dtype);
inline Array zeros(const Shape& shape, Dtype dtype) { return full(shape, constant(0, dtype)); }
inline Array ones(const Shape& shape, Dtype dtype) { return full(shape, constant(1, dtype)); }
// start, start + step, ... before stop. Of integer dtypes, fractions of the bounds and of the step are dropped.
Array arange(double start, double stop, double step, Dtype dtype);
// The same of whole numbers, exactly.
Array arange(Integer start, Integer stop, Integer step, Dtype dtype);
// `count` numbers from start to stop; `endpoint` says whether stop is one of them. Integer dtypes take the floor.
Array linspace(double start, double stop, int64_t count, bool endpoint, Dtype dtype);
// The same between whole numbers: of an integer dtype, the exact floor.
Array linspace(Integer start, Integer stop, int64_t count, bool endpoint, Dtype dtype);
// Ones where column - row == k.
Array eye(int64_t rows, int64_t columns, int64_t k, Dtype dtype);
// Ones where column - row <= k.
Array tri(int64_t rows, int64_t columns, int64_t k, Dtype dtype);
Array tril(const Array& x, int64_t k);
Array triu(const Array& x, int64_t k);
// The elements (i, i + offset) of two axes, as a new last axis.
Array diagonal(const Array& x, int64_t offset, int64_t axis1, int64_t axis2);
// The matrix with x on diagonal k; of a matrix, that diagonal.
Array diag(const Array& x, int64_t k);
Array trace(const Array& x, int64_t offset, int64_t axis1, int64_t axis2);
// `indexing`: "xy" or "ij".
Arrays meshgrid(Span arrays, bool sparse, std::string_view indexing);

}  // namespace funcnn
