// Vectors as memory and each other see them: loads, stores, elements by position. Without vectors, an element is one.
// Everything has internal linkage: see table.h.
#pragma once

#include <cstdint>
#include <utility>

#include "backends/cpu/simd/fma.h"

namespace funcnn::cpu::simd {
namespace {

#if defined(FUNCNN_VECTORS)
template <class T>
using VectorOrOne = Vector<T>;
template <class T>
constexpr int kLanesOf = FUNCNN_VECTOR_BYTES / int(sizeof(T));
template <class T>
struct LooseVectorOf {
  typedef T type __attribute__((vector_size(FUNCNN_VECTOR_BYTES), aligned(sizeof(T)), may_alias));
};

template <class T>
FUNCNN_INLINE Vector<T> load(const T* at) {
  return *reinterpret_cast<const typename LooseVectorOf<T>::type*>(at);
}
template <class T>
FUNCNN_INLINE void store(T* at, Vector<T> x) {
  *reinterpret_cast<typename LooseVectorOf<T>::type*>(at) = x;
}

template <size_t bytes>
struct OrderOf {
  using type = int32_t;
};
template <>
struct OrderOf<8> {
  using type = int64_t;
};
// Elements of a and b, by position.
template <class T, int... at>
FUNCNN_INLINE Vector<T> pick(Vector<T> a, Vector<T> b, std::integer_sequence<int, at...>) {
#ifdef __clang__
  return __builtin_shufflevector(a, b, at...);
#else
  return __builtin_shuffle(a, b, Vector<typename OrderOf<sizeof(T)>::type>{at...});
#endif
}
template <class F, int... i>
constexpr auto mapped(F, std::integer_sequence<int, i...>) {
  return std::integer_sequence<int, F::at(i)...>();
}
template <class T, class F>
FUNCNN_INLINE Vector<T> shuffled(Vector<T> a, Vector<T> b) {
  return pick<T>(a, b, mapped(F(), std::make_integer_sequence<int, kLanesOf<T>>()));
}
// Of a vector of integers.
FUNCNN_INLINE bool any_bit(const Vector<int64_t>& x) {
#if defined(__AVX512F__)
  return _mm512_test_epi64_mask(__m512i(x), __m512i(x)) != 0;
#elif defined(__AVX2__)
  return !_mm256_testz_si256(__m256i(x), __m256i(x));
#else
  return (x[0] | x[1]) != 0;
#endif
}
#else
template <class T>
using VectorOrOne = T;
template <class T>
constexpr int kLanesOf = 1;
template <class T>
FUNCNN_INLINE T load(const T* at) {
  return *at;
}
template <class T>
FUNCNN_INLINE void store(T* at, T x) {
  *at = x;
}
#endif

}  // namespace
}  // namespace funcnn::cpu::simd
