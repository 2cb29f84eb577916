// Sorting by the digits of unsigned keys.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace funcnn::cpu {

inline constexpr size_t kWideDigitsFrom = 8192;

// Keys of a range as numbers from 0 on, in as few digits as those have: of a few small integers that is one.
template <class K>
struct Digits {
  K least;
  int bits, count;  // of a digit; of a key
  size_t of(K key, int digit) const { return size_t(K(key - least) >> (digit * bits)) & (buckets() - 1); }
  size_t buckets() const { return size_t(1) << bits; }
};
template <class K>
Digits<K> digits_between(K least, K most, int most_bits) {
  const int width = int(std::bit_width(K(most - least))), count = (width + most_bits - 1) / most_bits;
  return {least, count ? (width + count - 1) / count : 0, count};
}

// The least and the largest key of items `begin` to `end`, of which there are some.
template <class KeyAt>
auto key_range(int64_t begin, int64_t end, KeyAt key_at) {
  auto least = key_at(begin), most = least;
  for (int64_t i = begin; i < end; ++i) {
    least = std::min(least, key_at(i));
    most = std::max(most, key_at(i));
  }
  return std::pair(least, most);
}

// Stable radix sort by the bits of `key(item)`, least significant digit first; the result is in `items`.
template <class Item, class KeyOf>
void radix_sort(std::vector<Item>& items, std::vector<Item>& spare, KeyOf key) {
  using K = decltype(key(items[0]));
  spare.resize(items.size());
  const auto [least, most] = key_range(0, int64_t(items.size()), [&](int64_t i) { return key(items[size_t(i)]); });
  const Digits<K> digits = digits_between(least, most, sizeof(K) == 4 && items.size() >= kWideDigitsFrom ? 11 : 8);
  std::vector<uint32_t> counts(size_t(digits.count) << digits.bits);
  for (const Item& item : items)
    for (int d = 0; d < digits.count; ++d) ++counts[(size_t(d) << digits.bits) + digits.of(key(item), d)];
  for (int d = 0; d < digits.count; ++d) {
    const std::span<uint32_t> c = std::span(counts).subspan(size_t(d) << digits.bits, digits.buckets());
    if (c[digits.of(key(items[0]), d)] == items.size()) continue;  // all alike in this digit
    uint32_t total = 0;
    for (uint32_t& n : c) n = std::exchange(total, total + n);
    for (const Item& item : items) spare[c[digits.of(key(item), d)]++] = item;
    items.swap(spare);
  }
}

}  // namespace funcnn::cpu
