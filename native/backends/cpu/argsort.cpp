// Positions in order: keys are sorted with their positions behind them, so equal ones keep their order.
#include <algorithm>
#include <bit>
#include <limits>
#include <memory>
#include <numeric>
#include <vector>

#include "backends/cpu/sort_kernels.h"
#include "backends/cpu/sort_order.h"
#include "backends/cpu/sorting.h"
#include "ops/sort_primitives.h"

namespace funcnn::cpu {
namespace {

// A key, or as many of its leading bits as there is room for, and a position in one number.
template <class K, class Item>
class Packing {
 public:
  Packing(K least, K most, int64_t n)
      : least_(least),
        position_bits_(std::bit_width(uint64_t(n - 1))),
        key_bits_(std::bit_width(Unsigned(Unsigned(most) - Unsigned(least)))),
        dropped_(std::max(0, key_bits_ + position_bits_ - int(sizeof(Item) * 8))) {}
  // Whether all bits of keys have room.
  bool whole() const { return dropped_ == 0; }
  Item item(K key, int64_t position) const { return made_of(distance(key) >> dropped_, position); }
  int64_t position(Item item) const { return int64_t(UnsignedItem(item) & mask(position_bits_)); }
  bool alike(Item a, Item b) const { return (UnsignedItem(a ^ b) & ~mask(position_bits_)) == 0; }
  // Of those that are alike: by the bits that had no room, which have it alone.
  Item rest(K key, int64_t position) const { return made_of(distance(key) & mask(dropped_), position); }

 private:
  using Unsigned = std::make_unsigned_t<K>;
  using UnsignedItem = std::make_unsigned_t<Item>;
  static UnsignedItem mask(int bits) { return UnsignedItem((UnsignedItem(1) << bits) - 1); }
  UnsignedItem distance(K key) const { return UnsignedItem(Unsigned(Unsigned(key) - Unsigned(least_))); }
  Item made_of(UnsignedItem key, int64_t position) const {
    return Item(((key << position_bits_) | UnsignedItem(position)) ^ UnsignedItem(std::numeric_limits<Item>::min()));
  }

  K least_;
  int position_bits_, key_bits_, dropped_;
};

template <class K>
std::pair<K, K> range_of(const K* keys, int64_t n) {
  K least = keys[0], most = keys[0];
  for (int64_t i = 1; i < n; ++i) {
    least = std::min(least, keys[i]);
    most = std::max(most, keys[i]);
  }
  return {least, most};
}

// Sorts runs of items that are alike so far, whose first ones are among [begin, end).
template <class T, class P>
void sort_runs(int64_t* items, int64_t* spare, int64_t begin, int64_t end, int64_t n, const P& packing, const T* x,
               int64_t step) {
  for (int64_t next; begin < end; begin = next) {
    for (next = begin + 1; next < n && packing.alike(items[begin], items[next]);) ++next;
    if (next == begin + 1) continue;
    for (int64_t i = begin; i < next; ++i) {
      const int64_t position = packing.position(items[i]);
      items[i] = packing.rest(Key<T>::of(x[position * step]), position);
    }
    key_sorter<int64_t>().sort(items + begin, spare + begin, 1, next - begin, 0, next - begin);
  }
}

// All keys of 32 bits have room beside a position.
template <class T>
using ItemPacking = Packing<KeyType<T>, int64_t>;
template <class T>
ItemPacking<T> packing_for(const KeyType<T>* keys, int64_t n) {
  using K = KeyType<T>;
  if constexpr (sizeof(K) == 4) return {std::numeric_limits<K>::min(), std::numeric_limits<K>::max(), n};
  const auto [least, most] = range_of(keys, n);
  return {least, most, n};
}

template <class T>
void argsort_line_shared(const T* x, const Lines& from, uint32_t* y, const Lines& to, Dtype dtype) {
  using K = KeyType<T>;
  const int64_t n = from.length();
  Room<int64_t> room(n), sorted(n);
  int64_t* const items = room.data();
  auto put = [&](int64_t begin, int64_t end, const auto& packing) {
    for (int64_t i = begin; i < end; ++i) y[i * to.step()] = uint32_t(packing.position(sorted.data()[i]));
  };
  if constexpr (sizeof(K) == 4) {
    const ItemPacking<T> packing = packing_for<T>(nullptr, n);
    over_line(n, [&](int64_t begin, int64_t end) {
      K keys[kGrain];
      for (; begin < end; begin += kGrain) {
        const int64_t count = std::min(kGrain, end - begin);
        keys_of_part(x, from.step(), begin, begin + count, keys, dtype);
        for (int64_t i = 0; i < count; ++i) items[begin + i] = packing.item(keys[i], begin + i);
      }
    });
    sort_shared(items, sorted.data(), n, 0, n, [&](int64_t begin, int64_t end) { put(begin, end, packing); });
  } else {
    const Parts parts(n);
    std::vector<std::pair<K, K>> ranges(size_t(parts.count()));
    parts.each([&](size_t part, int64_t begin, int64_t end) {
      keys_of_part(x, from.step(), begin, end, items + begin, dtype);
      ranges[part] = range_of(items + begin, end - begin);
    });
    auto [least, most] = ranges[0];
    for (const auto& range : ranges) {
      least = std::min(least, range.first);
      most = std::max(most, range.second);
    }
    const ItemPacking<T> packing(least, most, n);
    over_line(n, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) items[i] = packing.item(items[i], i);
    });
    sort_shared(items, sorted.data(), n, 0, n, [&](int64_t begin, int64_t end) {
      if (packing.whole()) put(begin, end, packing);
    });
    if (packing.whole()) return;
    // A run belongs to the part that it begins in.
    std::vector<int64_t> starts{0};
    for (int64_t part = 1; part <= parts.count(); ++part) {
      int64_t begin = std::max(starts.back(), parts.begin(part));
      while (begin < n && packing.alike(sorted.data()[begin - 1], sorted.data()[begin])) ++begin;
      starts.push_back(begin);
    }
    parallel_for(parts.count(), 1, [&](int64_t part, int64_t end) {
      for (; part < end; ++part) {
        const int64_t first = starts[size_t(part)], last = starts[size_t(part) + 1];
        sort_runs(sorted.data(), items, first, last, n, packing, x, from.step());
        put(first, last, packing);
      }
    });
  }
}

// Items of lines with their positions, sorted.
template <class T, class Item>
void argsort_lines_as(const T* in, uint32_t* out, const Lines& from, const Lines& to, Dtype dtype) {
  using K = KeyType<T>;
  const int64_t n = from.length(), at_once = lines_at_once(from);
  const bool at_their_place = to.are_dense();
  over_lines(from, at_once, [&](int64_t line, int64_t count) {
    ThreadRoom room(size_t(count * n + n) * sizeof(Item) + size_t(count * n) * (sizeof(K) + sizeof(uint32_t)));
    Item *const items = room.take<Item>(count * n), *const spare = room.take<Item>(n);
    K* const keys = room.take<K>(count * n);
    keys_of_lines(in, from, line, count, keys, dtype);
    uint32_t* const sorted = at_their_place ? out + to.start(line) : room.take<uint32_t>(count * n);
    auto pack = [&](int64_t l, const auto& packing) {
      for (int64_t i = 0; i < n; ++i) items[l * n + i] = packing.item(keys[l * n + i], i);
    };
    auto unpack = [&](int64_t l, const auto& packing) {
      for (int64_t i = 0; i < n; ++i) sorted[l * n + i] = uint32_t(packing.position(items[l * n + i]));
    };
    if constexpr (sizeof(K) == 8) {
      for (int64_t l = 0; l < count; ++l) {
        const ItemPacking<T> packing = packing_for<T>(keys + l * n, n);
        pack(l, packing);
        key_sorter<Item>().sort(items + l * n, spare, 1, n, 0, n);
        if (!packing.whole()) sort_runs(items + l * n, spare, 0, n, n, packing, in + from.start(line + l), from.step());
        unpack(l, packing);
      }
    } else {
      constexpr int kBits = sizeof(T) < 4 ? 8 * int(sizeof(T)) : 32;
      constexpr bool kUnsigned = std::is_unsigned_v<T> && sizeof(T) < 4;
      constexpr int64_t kLeast = kUnsigned ? 0 : -(int64_t(1) << (kBits - 1));
      const Packing<K, Item> packing(K(kLeast), K(kLeast + (int64_t(1) << kBits) - 1), n);
      for (int64_t l = 0; l < count; ++l) pack(l, packing);
      key_sorter<Item>().sort(items, spare, count, n, 0, n);
      for (int64_t l = 0; l < count; ++l) unpack(l, packing);
    }
    if (!at_their_place) put_lines(sorted, out, to, line, count);
  });
}

template <class T>
void argsort_lines(const T* in, uint32_t* out, const Lines& from, const Lines& to, Dtype dtype) {
  if (are_shared(from)) {
    for (int64_t l = 0; l < from.count(); ++l)
      argsort_line_shared(in + from.start(l), from, out + to.start(l), to, dtype);
    return;
  }
  if constexpr (sizeof(T) < 4)
    if (from.length() <= int64_t(1) << (32 - 8 * sizeof(T)))
      return argsort_lines_as<T, int32_t>(in, out, from, to, dtype);
  argsort_lines_as<T, int64_t>(in, out, from, to, dtype);
}
void argsort_complex(const complex64_t* in, uint32_t* out, const Lines& from, const Lines& to) {
  const int64_t n = from.length();
  over_lines(from, 1, [&](int64_t l, int64_t) {
    const complex64_t* x = in + from.start(l);
    uint32_t* y = out + to.start(l);
    std::vector<uint32_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      return before(x[int64_t(a) * from.step()], x[int64_t(b) * from.step()]);
    });
    for (int64_t i = 0; i < n; ++i) y[i * to.step()] = order[size_t(i)];
  });
}

}  // namespace

std::unique_ptr<Kernel> make_argsort(const Primitive& primitive, std::span<const Layout> inputs,
                                     std::span<const Layout> outputs, const KernelProgram*) {
  const int axis = static_cast<const AlongAxis&>(primitive).axis();
  const Dtype dtype = inputs[0].dtype;
  return visit_dtype(dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    return make_kernel(
        [dtype, from = Lines(inputs[0], axis), to = Lines(outputs[0], axis)](std::span<std::byte* const> at) {
          if (!from.length()) return;
          const T* x = reinterpret_cast<const T*>(at[0]);
          uint32_t* y = reinterpret_cast<uint32_t*>(at[1]);
          if constexpr (std::is_same_v<T, complex64_t>)
            argsort_complex(x, y, from, to);
          else
            argsort_lines(x, y, from, to, dtype);
        });
  });
}

namespace {

const RegisterKernel registered("argsort", make_argsort);

}  // namespace
}  // namespace funcnn::cpu
