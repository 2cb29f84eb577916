// 128-bit structural hashing: two lanes, so that equal hashes may be taken for equal structures.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

namespace funcnn {

struct Hash {
  uint64_t low = 0, high = 0;
  bool operator==(const Hash&) const = default;
};
struct HashOfHash {
  size_t operator()(const Hash& h) const noexcept { return size_t(h.low); }
};

class Hasher {
 public:
  void add(uint64_t value) {
    low_ = mix(low_ ^ value, 0x9e3779b97f4a7c15ull);
    high_ = mix(high_ + value, 0xd6e8feb86659fd93ull);
  }
  void add(int64_t value) { add(uint64_t(value)); }
  void add(int value) { add(uint64_t(int64_t(value))); }
  void add(unsigned value) { add(uint64_t(value)); }
  void add(bool value) { add(uint64_t(value)); }
  void add(double value) { add(std::bit_cast<uint64_t>(value)); }
  void add(const void* pointer) { add(uint64_t(reinterpret_cast<uintptr_t>(pointer))); }
  void add(std::string_view text) {
    add(uint64_t(text.size()));
    for (char c : text) add(uint64_t(uint8_t(c)));
  }
  void add(const Hash& h) {
    add(h.low);
    add(h.high);
  }
  template <class Range>
    requires requires(const Range& r) {
      r.begin();
      r.size();
    }
  void add(const Range& values) {
    add(uint64_t(values.size()));
    for (const auto& v : values) add(v);
  }
  Hash finish() const { return {mix(low_, 0xff51afd7ed558ccdull), mix(high_, 0xc4ceb9fe1a85ec53ull)}; }

 private:
  static uint64_t mix(uint64_t a, uint64_t b) {
#if defined(__SIZEOF_INT128__)
    unsigned __int128 product = (unsigned __int128)(a ^ (b >> 32)) * b;
    return uint64_t(product) ^ uint64_t(product >> 64);
#else
    a ^= a >> 32;
    a *= b;
    return a ^ (a >> 29);
#endif
  }
  uint64_t low_ = 0x243f6a8885a308d3ull, high_ = 0x13198a2e03707344ull;
};

}  // namespace funcnn
