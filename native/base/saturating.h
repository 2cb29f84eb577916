// Arithmetic on lengths that stays at the largest one, which no array has, instead of wrapping around.
#pragma once

#include <cstdint>
#include <limits>

namespace funcnn {

// Of numbers that are not negative.
inline int64_t saturating_add(int64_t a, int64_t b) {
  constexpr int64_t most = std::numeric_limits<int64_t>::max();
  return a > most - b ? most : a + b;
}
inline int64_t saturating_multiply(int64_t a, int64_t b) {
  constexpr int64_t most = std::numeric_limits<int64_t>::max();
  return b != 0 && a > most / b ? most : a * b;
}

}  // namespace funcnn
