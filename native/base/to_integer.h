// Floating-point numbers made into integers, also those that C++ leaves undefined.
#pragma once

#include <cstdint>
#include <limits>

#include "base/inline.h"

namespace funcnn {

// Towards zero; beyond the range of `To` its nearest bound; 0 for NaN. As in XLA.
template <class To, class From>
FUNCNN_INLINE constexpr To to_integer(From x) {
  using Bounds = std::numeric_limits<To>;
  constexpr bool exact = Bounds::digits <= std::numeric_limits<From>::digits;
  constexpr From low = From(Bounds::min());
  // The largest number of `From` that `To` holds.
  constexpr From high =
      exact ? From(Bounds::max()) : From(Bounds::max() / 2 + 1) * (From(2) - std::numeric_limits<From>::epsilon());
  From y = x < low ? low : x;
  y = y > high ? high : y;
  y = y == y ? y : From(0);
  To inside = sizeof(To) < 4 ? To(int32_t(y)) : To(y);  // to int32 the machine converts whole vectors
  return !exact && x > high ? Bounds::max() : inside;
}

}  // namespace funcnn
