// Memory asked for before it is needed.
#pragma once

#include <algorithm>
#include <cstdint>

namespace funcnn::cpu {

// Ask for `rows` of `length` elements, `leading` apart, that are read or written soon.
template <class T>
void prefetch_rows([[maybe_unused]] const T* first, [[maybe_unused]] int64_t rows, [[maybe_unused]] int64_t length,
                   [[maybe_unused]] int64_t leading) {
#if defined(__GNUC__)
  constexpr int64_t line = 64 / int64_t(sizeof(T));
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < length; j += line) __builtin_prefetch(first + i * leading + j);
#endif
}

// Memory that is read or written soon, asked for a little at a time in its order, which the processor then foresees.
class Ahead {
 public:
  // Of each of two ranges.
  template <class A, class B>
  Ahead(const A* a, int64_t count_a, const B* b, int64_t count_b)
      : at_{reinterpret_cast<const char*>(a), reinterpret_cast<const char*>(b)},
        left_{lines(count_a * int64_t(sizeof(A))), lines(count_b * int64_t(sizeof(B)))} {}
  // What to ask for at a time for all to be asked for in so many times.
  int64_t share(int64_t times) const {
    return (std::max(left_[0], left_[1]) + times - 1) / std::max<int64_t>(1, times);
  }
  void ask([[maybe_unused]] int64_t lines_of_each) {
#if defined(__GNUC__)
    for (int i = 0; i < 2; ++i)
      for (int64_t n = std::min(lines_of_each, left_[i]); n > 0; --n, --left_[i], at_[i] += kLine)
        __builtin_prefetch(at_[i]);
#endif
  }

 private:
  static constexpr int64_t kLine = 64;
  static int64_t lines(int64_t bytes) { return std::max<int64_t>(0, bytes + kLine - 1) / kLine; }
  const char* at_[2];
  int64_t left_[2];
};

}  // namespace funcnn::cpu
