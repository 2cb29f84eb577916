// Few keys sorted in registers: by a network in each lane, then lanes merged with their neighbours. Everything has
// internal linkage: see table.h.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <utility>

#include "backends/cpu/simd/vectors.h"

namespace funcnn::cpu::simd {
namespace {

template <class V>
FUNCNN_INLINE void exchange(V& a, V& b) {
  const V lower = a < b ? a : b, upper = a < b ? b : a;
  a = lower;
  b = upper;
}
#if defined(__AVX512F__)
FUNCNN_INLINE void exchange(Vector<int32_t>& a, Vector<int32_t>& b) {
  const __m512i x = __m512i(a), y = __m512i(b);
  a = Vector<int32_t>(_mm512_min_epi32(x, y));
  b = Vector<int32_t>(_mm512_max_epi32(x, y));
}
FUNCNN_INLINE void exchange(Vector<int64_t>& a, Vector<int64_t>& b) {
  const __m512i x = __m512i(a), y = __m512i(b);
  a = Vector<int64_t>(_mm512_min_epi64(x, y));
  b = Vector<int64_t>(_mm512_max_epi64(x, y));
}
#elif defined(__AVX2__)
FUNCNN_INLINE void exchange(Vector<int32_t>& a, Vector<int32_t>& b) {
  const __m256i x = __m256i(a), y = __m256i(b);
  a = Vector<int32_t>(_mm256_min_epi32(x, y));
  b = Vector<int32_t>(_mm256_max_epi32(x, y));
}
#endif

// K. E. Batcher, Sorting networks and their applications, 1968: odd-even merging.
struct Comparator {
  int upper, lower;
};
template <int R>
constexpr size_t odd_even_network(Comparator* to) {
  size_t count = 0;
  for (int sorted = 1; sorted < R; sorted *= 2)
    for (int apart = sorted; apart >= 1; apart /= 2)
      for (int from = apart % sorted; from + apart < R; from += 2 * apart)
        for (int i = from; i < from + apart; ++i) {
          if (i / (2 * sorted) != (i + apart) / (2 * sorted)) continue;
          if (to) to[count] = {i, i + apart};
          ++count;
        }
  return count;
}
template <int R>
constexpr auto kOddEven = [] {
  std::array<Comparator, odd_even_network<R>(nullptr)> network{};
  odd_even_network<R>(network.data());
  return network;
}();
template <class V, int R, size_t... i>
FUNCNN_INLINE void sort_each_lane(V (&v)[R], std::index_sequence<i...>) {
  (exchange(v[kOddEven<R>[i].upper], v[kOddEven<R>[i].lower]), ...);
}

#if defined(FUNCNN_VECTORS)
template <int mask>
struct Across {
  static constexpr int at(int i) { return i ^ mask; }
};
template <int lanes, int bit>
struct SecondWhere {
  static constexpr int at(int i) { return i & bit ? i + lanes : i; }
};
template <int lanes>
struct FirstHalves {
  static constexpr int at(int i) { return i / 2 + i % 2 * lanes; }
};
template <int lanes>
struct SecondHalves {
  static constexpr int at(int i) { return lanes / 2 + i / 2 + i % 2 * lanes; }
};

// Compares lanes so far apart, then half as far, ...
template <class T, int apart, int R>
FUNCNN_INLINE void merge_lanes(Vector<T> (&v)[R]) {
  if constexpr (apart >= 1) {
    FUNCNN_UNROLL
    for (int r = 0; r < R; ++r) {
      Vector<T> a = v[r], b = shuffled<T, Across<apart>>(a, a);
      exchange(a, b);
      v[r] = shuffled<T, SecondWhere<kLanesOf<T>, apart>>(a, b);
    }
    merge_lanes<T, apart / 2>(v);
  }
}
// Key r of lane l is number l * R + r of a group of lanes, which are as many as are sorted so far, then twice as many,
// ... A bitonic merge: each lane meets the one opposite, backwards.
template <class T, int group, int R>
FUNCNN_INLINE void merge_groups(Vector<T> (&v)[R]) {
  constexpr int lanes = kLanesOf<T>;
  if constexpr (group <= lanes) {
    using Opposite = Across<group - 1>;
    using Upper = SecondWhere<lanes, group / 2>;
    if constexpr (R == 1) {
      Vector<T> a = v[0], b = shuffled<T, Opposite>(a, a);
      exchange(a, b);
      v[0] = shuffled<T, Upper>(a, b);
    }
    FUNCNN_UNROLL
    for (int r = 0; r < R / 2; ++r) {
      Vector<T>&first = v[r], &last = v[R - 1 - r];
      Vector<T> a = first, b = shuffled<T, Opposite>(last, last);
      exchange(a, b);
      first = shuffled<T, Upper>(a, b);
      b = shuffled<T, Upper>(b, a);
      last = shuffled<T, Opposite>(b, b);
    }
    merge_lanes<T, group / 4>(v);
    FUNCNN_UNROLL
    for (int apart = R / 2; apart >= 1; apart /= 2) {
      FUNCNN_UNROLL
      for (int r = 0; r < R; ++r)
        if (!(r & apart)) exchange(v[r], v[r + apart]);
    }
    merge_groups<T, group * 2>(v);
  }
}
// From key r of lane l at number l * R + r to number r * lanes + l, R being this power of two.
template <class T, int power, int R>
FUNCNN_INLINE void put_in_line(Vector<T> (&v)[R]) {
  if constexpr (power > 1) {
    Vector<T> woven[R];
    FUNCNN_UNROLL
    for (int r = 0; r < R / 2; ++r) {
      woven[2 * r] = shuffled<T, FirstHalves<kLanesOf<T>>>(v[r], v[r + R / 2]);
      woven[2 * r + 1] = shuffled<T, SecondHalves<kLanesOf<T>>>(v[r], v[r + R / 2]);
    }
    FUNCNN_UNROLL
    for (int r = 0; r < R; ++r) v[r] = woven[r];
    put_in_line<T, power / 2>(v);
  }
}
#endif

template <class T, int R>
FUNCNN_INLINE void sort_registers(VectorOrOne<T> (&v)[R]) {
  if constexpr (R > 1) sort_each_lane(v, std::make_index_sequence<kOddEven<R>.size()>());
#if defined(FUNCNN_VECTORS)
  merge_groups<T, 2>(v);
  put_in_line<T, R>(v);
#endif
}

#if defined(__AVX512F__)
// The first elements of a vector in memory, the others being `rest`; they go back the same way.
template <class T>
FUNCNN_INLINE Vector<T> load_first(const T* at, int count, T rest) {
  const Vector<T> others = repeat(rest);
  if constexpr (sizeof(T) == 4)
    return Vector<T>(_mm512_mask_loadu_epi32(__m512i(others), __mmask16((1u << count) - 1), at));
  else
    return Vector<T>(_mm512_mask_loadu_epi64(__m512i(others), __mmask8((1u << count) - 1), at));
}
template <class T>
FUNCNN_INLINE void store_first(T* at, int count, Vector<T> x) {
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_epi32(at, __mmask16((1u << count) - 1), __m512i(x));
  else
    _mm512_mask_storeu_epi64(at, __mmask8((1u << count) - 1), __m512i(x));
}
#endif

// Sorts n keys, at most R vectors of them and, if R > 1, more than half of that.
template <class T, int R>
void sort_vectors(const T* from, T* to, int n) {
  constexpr int lanes = kLanesOf<T>;
  VectorOrOne<T> v[R];
#if defined(__AVX512F__)
  auto left = [&](int r) { return std::clamp(n - r * lanes, 0, lanes); };
  FUNCNN_UNROLL
  for (int r = 0; r < R; ++r)
    v[r] = r < R / 2 ? load(from + r * lanes) : load_first(from + r * lanes, left(r), std::numeric_limits<T>::max());
  sort_registers<T>(v);
  FUNCNN_UNROLL
  for (int r = 0; r < R; ++r) {
    if (r < R / 2)
      store(to + r * lanes, v[r]);
    else
      store_first(to + r * lanes, left(r), v[r]);
  }
#else
  T room[R * lanes];
  const bool part = n < R * lanes;
  if (part) {
    for (int i = 0; i < R * lanes; ++i) room[i] = i < n ? from[i] : std::numeric_limits<T>::max();
    from = room;
  }
  FUNCNN_UNROLL
  for (int r = 0; r < R; ++r) v[r] = load(from + r * lanes);
  sort_registers<T>(v);
  T* const put = part ? room : to;
  FUNCNN_UNROLL
  for (int r = 0; r < R; ++r) store(put + r * lanes, v[r]);
  if (part)
    for (int i = 0; i < n; ++i) to[i] = room[i];
#endif
}

constexpr int kMostVectors = 16;
// Of so many keys at most a network is quickest.
template <class T>
constexpr int64_t kFew = kMostVectors * kLanesOf<T>;

template <class T, int R = 1>
FUNCNN_INLINE void sort_few(const T* from, T* to, int64_t n) {
  if constexpr (R < kMostVectors) {
    if (n > R * kLanesOf<T>) return sort_few<T, 2 * R>(from, to, n);
  }
  if (n > 0) sort_vectors<T, R>(from, to, int(n));
}

}  // namespace
}  // namespace funcnn::cpu::simd
