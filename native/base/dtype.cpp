#include "base/dtype.h"

#include <algorithm>

namespace funcnn {

Dtype promote_types(Dtype a, Dtype b) {
  if (a == b) return a;
  if (a > b) std::swap(a, b);  // kinds are ordered: bool, unsigned, signed, floating, complex
  if (a == Dtype::bool_ || is_complex(b)) return b;
  if (is_float(b)) {
    if (is_half(a) && is_half(b)) return Dtype::float32;
    return b;
  }
  if (is_unsigned(a) && is_signed(b)) {
    if (a == Dtype::uint64) return Dtype::float32;
    // The smallest signed type that holds both.
    if (item_size(b) > item_size(a)) return b;
    return a == Dtype::uint8 ? Dtype::int16 : a == Dtype::uint16 ? Dtype::int32 : Dtype::int64;
  }
  return b;
}

}  // namespace funcnn
