// Sorting by the digits of unsigned keys.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/thread_pool.h"

namespace funcnn::cpu {

// Items of so many bytes leave the caches on their way: they go out in whole lines.
inline constexpr size_t kLineBytes = 64, kBytesInCache = size_t(1) << 19;
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

// Stable radix sort by the bits of `key(item)`, least significant digit first; the result is in `items`. Keys of whole
// numbers are often few, those of other numbers hardly ever.
template <class Item, class KeyOf>
void radix_sort(std::vector<Item>& items, std::vector<Item>& spare, KeyOf key, bool whole_numbers) {
  using K = decltype(key(items[0]));
  spare.resize(items.size());
  std::vector<uint32_t> counts;
  auto sort_by = [&](int bits, int count, auto digit) {
    counts.assign(size_t(count) << bits, 0);
    for (const Item& item : items)
      for (int d = 0; d < count; ++d) ++counts[(size_t(d) << bits) + digit(key(item), d)];
    for (int d = 0; d < count; ++d) {
      const std::span<uint32_t> c = std::span(counts).subspan(size_t(d) << bits, size_t(1) << bits);
      if (c[digit(key(items[0]), d)] == items.size()) continue;  // all alike in this digit
      uint32_t total = 0;
      for (uint32_t& n : c) n = std::exchange(total, total + n);
      for (const Item& item : items) spare[c[digit(key(item), d)]++] = item;
      items.swap(spare);
    }
  };
  if (!whole_numbers) {
    // Fewer, larger digits once the items outweigh the buckets.
    if (sizeof(K) == 4 && items.size() >= kWideDigitsFrom)
      return sort_by(11, 3, [](K k, int d) { return size_t(k >> (11 * d)) & 2047; });
    return sort_by(8, int(sizeof(K)), [](K k, int d) { return size_t(k >> (8 * d)) & 255; });
  }
  const auto [least, most] = key_range(0, int64_t(items.size()), [&](int64_t i) { return key(items[size_t(i)]); });
  const Digits<K> digits = digits_between(least, most, sizeof(K) == 4 && items.size() >= kWideDigitsFrom ? 11 : 8);
  sort_by(digits.bits, digits.count, [&](K k, int d) { return digits.of(k, d); });
}

// The pieces of so many items that threads go through, of which each has a number.
class Parts {
 public:
  explicit Parts(int64_t n) : n_(n), count_(std::clamp<int64_t>(n / 16384, 1, 2 * thread_count())) {}
  int64_t count() const { return count_; }
  template <class F>
  void each(F&& body) const {
    parallel_for(count_, 1, [&](int64_t begin, int64_t end) {
      for (; begin < end; ++begin) body(size_t(begin), n_ * begin / count_, n_ * (begin + 1) / count_);
    });
  }

 private:
  int64_t n_, count_;
};

// The same of all items, by all threads.
template <class K, class KeyAt>
std::pair<K, K> key_range(const Parts& parts, KeyAt key_at) {
  std::vector<std::pair<K, K>> found(size_t(parts.count()));
  parts.each([&](size_t part, int64_t begin, int64_t end) { found[part] = key_range(begin, end, key_at); });
  std::pair<K, K> all = found[0];
  for (const auto& [least, most] : found) all = {std::min(all.first, least), std::max(all.second, most)};
  return all;
}

// A line of memory that is not read soon: past the caches, where there are instructions for it.
inline void store_line(void* to, const void* from) {
#if defined(__SSE2__)
  for (size_t i = 0; i < kLineBytes / sizeof(__m128i); ++i)
    _mm_stream_si128(static_cast<__m128i*>(to) + i, static_cast<const __m128i*>(from)[i]);
#else
  std::memcpy(to, from, kLineBytes);
#endif
}
inline void finish_lines() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

// Puts items into buckets of `to`, memory that begins with a line, from `places` on, where each bucket goes on. What
// lies in buckets far from each other would hardly ever find its line in a cache, and those at the same distance push
// each other out; so each bucket has a line of its own here, which is moved when it is full.
template <class Item, class BucketOf>
void scatter_by_lines(const Item* begin, const Item* end, Item* to, std::span<int64_t> places, BucketOf bucket_of) {
  constexpr int64_t kItems = int64_t(kLineBytes / sizeof(Item));
  struct alignas(kLineBytes) Line {
    Item items[kItems];
  };
  const std::unique_ptr<Line[]> lines(new Line[places.size()]);
  const std::vector<int64_t> starts(places.begin(), places.end());
  for (; begin != end; ++begin) {
    const size_t bucket = bucket_of(*begin);
    const int64_t place = places[bucket]++, in_line = place % kItems;
    Line& line = lines[bucket];
    line.items[in_line] = *begin;
    if (in_line != kItems - 1) continue;
    const int64_t first = place - in_line;
    if (first >= starts[bucket])
      store_line(to + first, &line);
    else
      std::copy(line.items + (starts[bucket] - first), line.items + kItems, to + starts[bucket]);
  }
  for (size_t b = 0; b < places.size(); ++b) {
    const int64_t first = places[b] / kItems * kItems, from = std::max(first, starts[b]);
    std::copy(lines[b].items + (from - first), lines[b].items + (places[b] - first), to + from);
  }
  finish_lines();
}

// The same by all threads: `items` or `spare`, whichever has the result. Both begin with a line. Each part of the items
// goes where those of the parts before it end, so the order is the same for any number of parts.
template <class Item, class KeyOf>
Item* radix_sort_shared(Item* items, Item* spare, int64_t n, KeyOf key) {
  using K = decltype(key(items[0]));
  const Parts parts(n);
  const auto [least, most] = key_range<K>(parts, [&](int64_t i) { return key(items[i]); });
  const bool by_lines = size_t(n) * sizeof(Item) > kBytesInCache;
  const Digits<K> digits = digits_between(least, most, by_lines ? 11 : 8);
  const size_t buckets = digits.buckets();
  std::vector<int64_t> counts(size_t(parts.count()) * buckets);
  for (int d = 0; d < digits.count; ++d) {
    auto bucket_of = [&](const Item& item) { return digits.of(key(item), d); };
    auto counts_of = [&](size_t part) { return std::span(counts).subspan(part * buckets, buckets); };
    parts.each([&](size_t part, int64_t begin, int64_t end) {
      const std::span<int64_t> c = counts_of(part);
      std::fill(c.begin(), c.end(), int64_t(0));
      for (int64_t i = begin; i < end; ++i) ++c[bucket_of(items[i])];
    });
    int64_t total = 0;
    for (size_t b = 0; b < buckets; ++b)
      for (int64_t part = 0; part < parts.count(); ++part) {
        int64_t& c = counts[size_t(part) * buckets + b];
        c = std::exchange(total, total + c);
      }
    parts.each([&](size_t part, int64_t begin, int64_t end) {
      const std::span<int64_t> c = counts_of(part);
      if (by_lines) return scatter_by_lines(items + begin, items + end, spare, c, bucket_of);
      for (int64_t i = begin; i < end; ++i) spare[c[bucket_of(items[i])]++] = items[i];
    });
    std::swap(items, spare);
  }
  return items;
}

}  // namespace funcnn::cpu
