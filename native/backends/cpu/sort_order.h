// The order of sorting, by comparison. Everything has internal linkage, as what it leans on.
#pragma once

#include <cmath>
#include <type_traits>

#include "backends/cpu/sort_keys.h"
#include "base/dtype.h"

namespace funcnn::cpu {
namespace {

// NaN is larger than everything. Complex numbers compare by real, then by imaginary part.
template <class T>
bool before(const T& a, const T& b) {
  if constexpr (std::is_same_v<T, complex64_t>) {
    const bool a_nan = std::isnan(a.real()) || std::isnan(a.imag());
    const bool b_nan = std::isnan(b.real()) || std::isnan(b.imag());
    if (a_nan || b_nan) return b_nan && !a_nan;
    return a.real() != b.real() ? a.real() < b.real() : a.imag() < b.imag();
  } else {
    return Key<T>::of(a) < Key<T>::of(b);
  }
}

}  // namespace
}  // namespace funcnn::cpu
