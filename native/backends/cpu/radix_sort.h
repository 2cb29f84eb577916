// Sorting by the digits of unsigned keys.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace funcnn::cpu {

inline constexpr size_t kWideDigitsFrom = 8192;

// Stable radix sort by the bits of `key(item)`, least significant digit first; the result is in `items`.
template <int kBits, class Item, class KeyOf>
void radix_sort_by(std::vector<Item>& items, std::vector<Item>& spare, KeyOf key) {
  using K = decltype(key(items[0]));
  constexpr int kDigits = (int(sizeof(K)) * 8 + kBits - 1) / kBits;
  constexpr uint32_t kBuckets = 1u << kBits;
  auto digit = [&](const Item& item, int d) { return uint32_t(key(item) >> (d * kBits)) & (kBuckets - 1); };
  std::vector<std::array<uint32_t, kBuckets>> counts(kDigits);
  for (auto& c : counts) c.fill(0);
  for (const Item& item : items)
    for (int d = 0; d < kDigits; ++d) ++counts[size_t(d)][digit(item, d)];
  spare.resize(items.size());
  for (int d = 0; d < kDigits; ++d) {
    auto& c = counts[size_t(d)];
    if (c[digit(items[0], d)] == items.size()) continue;  // all alike in this digit
    uint32_t total = 0;
    for (uint32_t& n : c) n = std::exchange(total, total + n);
    for (const Item& item : items) spare[c[digit(item, d)]++] = item;
    items.swap(spare);
  }
}

template <class Item, class KeyOf>
void radix_sort(std::vector<Item>& items, std::vector<Item>& spare, KeyOf key) {
  // Fewer, larger digits once the elements outweigh the buckets.
  if (sizeof(key(items[0])) == 4 && items.size() >= kWideDigitsFrom)
    radix_sort_by<11>(items, spare, key);
  else
    radix_sort_by<8>(items, spare, key);
}

}  // namespace funcnn::cpu
