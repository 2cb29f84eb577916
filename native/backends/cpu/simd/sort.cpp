// Quicksort of keys: what is below a pivot and what is not, by vectors, down to what registers hold.
#include "backends/cpu/sort_table.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>

#include "backends/cpu/simd/of_this_set.h"
#include "backends/cpu/simd/sort_network.h"
#include "backends/cpu/simd/sort_split.h"
#include "backends/cpu/sort_keys.h"

namespace funcnn::cpu {
extern const SortTable FUNCNN_OF_THIS_SET(sort_table_);
namespace simd {
namespace {

constexpr int64_t kManyKeys = 8192;  // are worth a larger sample

// A key of about this rank, of R vectors of keys from all over; for few keys at one end, rather a little before them.
template <class T, int R>
T sampled_pivot(const T* from, int64_t n, int64_t first) {
  constexpr int64_t lanes = kLanesOf<T>, count = R * lanes, kBefore = 3;
  T sample[count];
  for (int64_t r = 0; r < R; ++r) store(sample + r * lanes, load(from + (n - lanes) * (2 * r + 1) / (2 * R)));
  sort_vectors<T, R>(sample, sample, int(count));
  const int64_t rank = int64_t(double(first) / double(n) * double(count)) - kBefore;
  return sample[std::max(count / 2, std::min(rank, count - 1))];
}
// Halves the range of what is there: however the keys lie, that ends.
template <class T>
T middle_pivot(const T* from, int64_t n) {
  T least = from[0], most = from[0];
  for (int64_t i = 0; i < n; ++i) {
    least = std::min(least, from[i]);
    most = std::max(most, from[i]);
  }
  using U = std::make_unsigned_t<T>;
  const U half = U(U(U(most) - U(least)) / 2 + (most != least));
  return T(U(least) + half);
}

// The keys are in `x` or in `spare`; those at [first, last) come to lie in `x` as sorted. `pivots`: so many are tried
// before the range decides.
template <class T>
void sort_part(T* x, T* spare, bool in_spare, int64_t n, int64_t first, int64_t last, int pivots) {
  while (n > kFew<T> && first < n && last > 0) {
    const T* from = in_spare ? spare : x;
    const T pivot = pivots-- <= 0   ? middle_pivot(from, n)
                    : n < kManyKeys ? sampled_pivot<T, 4>(from, n, first)
                                    : sampled_pivot<T, kMostVectors>(from, n, first);
    int64_t below = split(from, n, pivot, x, spare);
    in_spare = true;
    if (below == 0) {
      // None is less: its equals are sorted.
      if (pivot == std::numeric_limits<T>::max()) break;
      below = split(spare, n, T(pivot + 1), x, spare);
    } else {
      sort_part(x, spare + (n - below), false, below, first, last, pivots);
    }
    x += below;
    n -= below;
    first -= below;
    last -= below;
  }
  if (n > kFew<T>) {
    if (in_spare) std::memcpy(x, spare, size_t(n) * sizeof(T));
  } else {
    sort_few(in_spare ? spare : x, x, n);
  }
}

template <class T>
void sort_rows(T* x, T* spare, int64_t rows, int64_t n, int64_t first, int64_t last) {
  const int pivots = 2 * std::bit_width(uint64_t(n));
  for (int64_t r = 0; r < rows; ++r, x += n) {
    if (n <= kFew<T>)
      sort_few(x, x, n);
    else
      sort_part(x, spare, false, n, first, last, pivots);
  }
}

template <class T>
bool keys_of(void* keys, const void* values, int64_t n) {
  using K = Key<T>;
  auto* FUNCNN_RESTRICT to = static_cast<typename K::type*>(keys);
  auto* FUNCNN_RESTRICT from = static_cast<const T*>(values);
  if constexpr (requires { K::nan; }) {
    typename K::type differ = 0;
    for (int64_t i = 0; i < n; ++i) {
      const typename K::type key = K::of(from[i]);
      differ |= K::bits(K::value(key)) ^ K::bits(from[i]);
      to[i] = key;
    }
    return differ == 0;
  }
  for (int64_t i = 0; i < n; ++i) to[i] = K::of(from[i]);
  return true;
}
template <class T>
void values_of(void* values, const void* keys, int64_t n) {
  T* FUNCNN_RESTRICT to = static_cast<T*>(values);
  auto* FUNCNN_RESTRICT from = static_cast<const typename Key<T>::type*>(keys);
  for (int64_t i = 0; i < n; ++i) to[i] = Key<T>::value(from[i]);
}

}  // namespace

template <class... T>
constexpr SortTable table_of() {
  return {
      {sort_rows<int32_t>, split<int32_t>}, {sort_rows<int64_t>, split<int64_t>}, {keys_of<T>...}, {values_of<T>...}};
}

}  // namespace simd

const SortTable FUNCNN_OF_THIS_SET(sort_table_) =
    simd::table_of<bool, uint8_t, uint16_t, uint32_t, uint64_t, int8_t, int16_t, int32_t, int64_t, float16_t,
                   bfloat16_t, float, double>();

}  // namespace funcnn::cpu
