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
  int bits() const { return key_bits_ + position_bits_; }
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

// body(first, keys, count) for pieces of elements [begin, end) of a line.
template <class T, class F>
void over_keys(const T* x, int64_t step, int64_t begin, int64_t end, Dtype dtype, F&& body) {
  KeyType<T> keys[kGrain];
  for (; begin < end; begin += kGrain) {
    const int64_t count = std::min(kGrain, end - begin);
    keys_of_part(x, step, begin, begin + count, keys, dtype);
    body(begin, keys, count);
  }
}
template <class T>
std::pair<KeyType<T>, KeyType<T>> range_of_line(const T* x, const Lines& lines, Dtype dtype) {
  using Range = std::pair<KeyType<T>, KeyType<T>>;
  auto joined = [](Range a, Range b) { return Range(std::min(a.first, b.first), std::max(a.second, b.second)); };
  const Parts parts(lines.length());
  const KeyType<T> any = Key<T>::of(x[0]);
  std::vector<Range> ranges(size_t(parts.count()), Range(any, any));
  parts.each([&](size_t part, int64_t begin, int64_t end) {
    over_keys(x, lines.step(), begin, end, dtype, [&](int64_t, const KeyType<T>* keys, int64_t count) {
      ranges[part] = joined(ranges[part], range_of(keys, count));
    });
  });
  Range all = ranges[0];
  for (const Range& range : ranges) all = joined(all, range);
  return all;
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

// Of keys: the least and the largest that a dtype has, where lines are not asked for theirs.
template <class T>
constexpr bool has_own_range = sizeof(T) == 8 || (std::is_integral_v<T> && sizeof(T) == 4);
template <class T>
std::pair<KeyType<T>, KeyType<T>> range_of_dtype() {
  using K = KeyType<T>;
  if constexpr (std::is_integral_v<T>)
    return {Key<T>::of(std::numeric_limits<T>::min()), Key<T>::of(std::numeric_limits<T>::max())};
  else
    return {K(-Key<T>::nan - 1), K(Key<T>::nan)};
}

// Whether a number of 32 bits has room for these keys and positions.
template <class K>
bool are_narrow(std::pair<K, K> range, int64_t n) {
  return Packing<K, int64_t>(range.first, range.second, n).bits() <= 32;
}

template <class T, class Item>
void argsort_line_shared(const T* x, const Lines& from, uint32_t* y, const Lines& to, Dtype dtype,
                         std::pair<KeyType<T>, KeyType<T>> range) {
  const int64_t n = from.length();
  const Packing<KeyType<T>, Item> packing(range.first, range.second, n);
  Pooled<Item> room(n), sorted_room(n);
  Item *const items = room.data(), *const sorted = sorted_room.data();
  over_line(n, [&](int64_t begin, int64_t end) {
    over_keys(x, from.step(), begin, end, dtype, [&](int64_t first, const KeyType<T>* keys, int64_t count) {
      for (int64_t i = 0; i < count; ++i) items[first + i] = packing.item(keys[i], first + i);
    });
  });
  auto put = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y[i * to.step()] = uint32_t(packing.position(sorted[i]));
  };
  sort_shared(items, sorted, n, 0, n, [&](int64_t begin, int64_t end) {
    if (packing.whole()) put(begin, end);
  });
  if constexpr (sizeof(T) == 8 && sizeof(Item) == 8) {
    if (packing.whole()) return;
    // A run belongs to the part that it begins in.
    const Parts parts(n);
    std::vector<int64_t> starts{0};
    for (int64_t part = 1; part <= parts.count(); ++part) {
      int64_t begin = std::max(starts.back(), parts.begin(part));
      while (begin < n && packing.alike(sorted[begin - 1], sorted[begin])) ++begin;
      starts.push_back(begin);
    }
    parallel_for(parts.count(), 1, [&](int64_t part, int64_t end) {
      for (; part < end; ++part) {
        const int64_t first = starts[size_t(part)], last = starts[size_t(part) + 1];
        sort_runs(sorted, items, first, last, n, packing, x, from.step());
        put(first, last);
      }
    });
  }
}

// The positions of `count` lines, whose keys these are, one line behind the other.
template <class T, class Item>
void argsort_keys(const KeyType<T>* keys, std::pair<KeyType<T>, KeyType<T>> range, const T* in, const Lines& from,
                  int64_t line, int64_t count, Item* items, Item* spare, uint32_t* sorted) {
  const int64_t n = from.length();
  const Packing<KeyType<T>, Item> packing(range.first, range.second, n);
  for (int64_t l = 0; l < count; ++l)
    for (int64_t i = 0; i < n; ++i) items[l * n + i] = packing.item(keys[l * n + i], i);
  key_sorter<Item>().sort(items, spare, count, n, 0, n);
  if constexpr (sizeof(T) == 8 && sizeof(Item) == 8)
    for (int64_t l = 0; l < count && !packing.whole(); ++l)
      sort_runs(items + l * n, spare, 0, n, n, packing, in + from.start(line + l), from.step());
  for (int64_t i = 0; i < count * n; ++i) sorted[i] = uint32_t(packing.position(items[i]));
}

template <class T>
void argsort_lines(const T* in, uint32_t* out, const Lines& from, const Lines& to, Dtype dtype) {
  using K = KeyType<T>;
  const int64_t n = from.length();
  const std::pair<K, K> all = range_of_dtype<T>();
  if (are_shared(from)) {
    for (int64_t l = 0; l < from.count(); ++l) {
      const T* const x = in + from.start(l);
      uint32_t* const y = out + to.start(l);
      const std::pair<K, K> range = has_own_range<T> ? range_of_line(x, from, dtype) : all;
      if (are_narrow(range, n))
        argsort_line_shared<T, int32_t>(x, from, y, to, dtype, range);
      else
        argsort_line_shared<T, int64_t>(x, from, y, to, dtype, range);
    }
    return;
  }
  over_lines(from, lines_at_once(from), [&](int64_t line, int64_t count) {
    ThreadRoom room(size_t(count * n + n) * sizeof(int64_t) + size_t(count * n) * (sizeof(K) + sizeof(uint32_t)));
    int64_t *const items = room.take<int64_t>(count * n), *const spare = room.take<int64_t>(n);
    K* const keys = room.take<K>(count * n);
    uint32_t* const sorted = to.are_dense() ? out + to.start(line) : room.take<uint32_t>(count * n);
    keys_of_lines(in, from, line, count, keys, dtype);
    const std::pair<K, K> range = has_own_range<T> ? range_of(keys, count * n) : all;
    if (are_narrow(range, n)) {
      auto as_narrow = [](int64_t* place) { return reinterpret_cast<int32_t*>(place); };
      argsort_keys(keys, range, in, from, line, count, as_narrow(items), as_narrow(spare), sorted);
    } else {
      argsort_keys(keys, range, in, from, line, count, items, spare, sorted);
    }
    if (!to.are_dense()) put_lines(sorted, out, to, line, count);
  });
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
  return make_of_lines(primitive, inputs, outputs,
                       [](const auto* x, std::byte* out, const Lines& from, const Lines& to, Dtype dtype) {
                         uint32_t* y = reinterpret_cast<uint32_t*>(out);
                         if constexpr (std::is_same_v<std::remove_cvref_t<decltype(*x)>, complex64_t>)
                           argsort_complex(x, y, from, to);
                         else
                           argsort_lines(x, y, from, to, dtype);
                       });
}

namespace {

const RegisterKernel registered("argsort", make_argsort);

}  // namespace
}  // namespace funcnn::cpu
