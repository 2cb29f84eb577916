// What sorting needs of an instruction set.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace funcnn::cpu {

// `spare` and whatever else is written has room for as many keys as are given.
template <class K>
struct KeySorter {
  // Sorts `rows` rows of n keys, one behind the other, so far that positions [first, last) of each hold what belongs
  // there. O(n log n) comparisons for any keys.
  void (*sort)(K* x, K* spare, int64_t rows, int64_t n, int64_t first, int64_t last);
  // Keys below the pivot go to `low`, others to `high`, one of which may be `from`. Returns how many are low.
  int64_t (*split)(const K* from, int64_t n, K pivot, K* low, K* high);
};

struct SortTable {
  KeySorter<int32_t> narrow;
  KeySorter<int64_t> wide;
  // By dtype, for those with keys (sort_keys.h). `keys`: whether values of the keys are what was given, bit by bit.
  bool (*keys[kDtypeCount])(void* keys, const void* values, int64_t n);
  void (*values[kDtypeCount])(void* values, const void* keys, int64_t n);
};

}  // namespace funcnn::cpu
