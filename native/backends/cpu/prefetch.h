// Memory asked for before it is needed.
#pragma once

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

}  // namespace funcnn::cpu
