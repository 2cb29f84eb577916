// What divide and conquer of tridiagonal and of bidiagonal matrices have in common.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace funcnn::cpu {

constexpr int64_t kPad = 16;  // elements between rows that would meet in the same places of the cache

// How many pieces of so many operations are worth a thread.
inline int64_t grain_for(double operations) {
  constexpr double kWorth = 2e4;
  return std::max<int64_t>(1, int64_t(kWorth / std::max(operations, 1.0)));
}

// a, b = c a + s b, c b - s a.
template <class T>
void turn(int64_t n, T* a, T* b, T c, T s) {
  for (int64_t i = 0; i < n; ++i) {
    const T x = a[i], y = b[i];
    a[i] = c * x + s * y;
    b[i] = c * y - s * x;
  }
}
// The values of vectors that are turned so.
template <class T>
void turn_values(T& a, T& b, T c, T s) {
  const T x = a, y = b;
  a = x * (c * c) + y * (s * s);
  b = x * (s * s) + y * (c * c);
}

enum class Half : uint8_t { top, both, bottom };  // where a vector has elements

// Which of the vectors that are kept come first in the products of halves: those above, those of both, those below.
struct Grouped {
  Grouped(const std::vector<Half>& half, const std::vector<int64_t>& kept) {
    int64_t ends[3];
    for (int part = 0; part < 3; ++part) {
      for (size_t i = 0; i < kept.size(); ++i)
        if (half[size_t(kept[i])] == Half(part)) order.push_back(int64_t(i));
      ends[part] = int64_t(order.size());
    }
    above = ends[0];
    upper = ends[1];
    lower = ends[2] - above;
  }

  std::vector<int64_t> order;
  int64_t above, upper, lower;  // with elements above only, above, and below
};

}  // namespace funcnn::cpu
