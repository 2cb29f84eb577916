// Elements on both sides of the one that sorting puts at a position. The search goes on between two elements near it,
// chosen and met in the same order by every instruction set, so the result is the same.
#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <vector>

#include "backends/cpu/kernels.h"
#include "backends/cpu/sort_kernels.h"
#include "backends/cpu/sorting.h"
#include "ops/sort_primitives.h"

namespace funcnn::cpu {
namespace {

constexpr int64_t kSortedLines = 2048;  // of at most so many elements are sorted
constexpr int64_t kSortedMiddle = 512;

// From the first key to before the second.
template <class K>
struct Between {
  K from, to;
  bool open;  // nothing lies beyond
};
struct Counts {
  int64_t below, middle, above;
};

// The keys themselves. Those in the middle lie apart, in their order.
template <class K>
struct Keys {
  K *result, *middle, *spare;

  K at(int64_t i) const { return middle[i]; }
  // Puts what is not between where it belongs in [begin, end).
  Counts split(int64_t n, int64_t begin, int64_t end, Between<K> range) const {
    const KeySorter<K>& sorter = key_sorter<K>();
    const int64_t below = sorter.split(middle, n, range.from, result + begin, spare);
    if (range.open) {
      std::memcpy(middle, spare, size_t(n - below) * sizeof(K));
      return {below, n - below, 0};
    }
    const int64_t between = sorter.split(spare, n - below, range.to, middle, spare), above = n - below - between;
    std::memcpy(result + (end - above), spare, size_t(above) * sizeof(K));
    return {below, between, above};
  }
  void sort_middle(int64_t n) const { key_sorter<K>().sort(middle, spare, 1, n, 0, n); }
};

// Positions of keys.
template <class K>
struct Positions {
  const K* keys;
  uint32_t *result, *middle, *spare;

  K at(int64_t i) const { return keys[middle[i]]; }
  Counts split(int64_t n, int64_t begin, int64_t end, Between<K> range) const {
    Counts counts{};
    uint32_t* const low = result + begin;
    for (int64_t i = 0; i < n; ++i) {
      const uint32_t position = middle[i];
      const K key = keys[position];
      const bool below = key < range.from, above = !range.open & (key >= range.to);
      low[counts.below] = middle[counts.middle] = spare[counts.above] = position;
      counts.below += below;
      counts.above += above;
      counts.middle += !(below | above);
    }
    std::memcpy(result + (end - counts.above), spare, size_t(counts.above) * sizeof(uint32_t));
    return counts;
  }
  void sort_middle(int64_t n) const {
    std::stable_sort(middle, middle + n, [this](uint32_t a, uint32_t b) { return keys[a] < keys[b]; });
  }
};

template <class K, class Elements>
Between<K> range_around(const Elements& elements, int64_t n, int64_t kth) {
  constexpr int64_t kSamples = 256, kMargin = 24;  // three standard deviations of the rank
  K sample[kSamples], spare[kSamples];
  for (int64_t i = 0; i < kSamples; ++i) sample[i] = elements.at(n * i / kSamples);
  key_sorter<K>().sort(sample, spare, 1, kSamples, 0, kSamples);
  const int64_t rank = int64_t(double(kth) / double(n) * double(kSamples)), first = rank - kMargin,
                last = rank + kMargin;
  const K from = first < 0 ? std::numeric_limits<K>::min() : sample[first];
  const K to = last < kSamples ? sample[last] : std::numeric_limits<K>::max();
  // Of many equal ones, those.
  return {from, K(to + (to == from && to != std::numeric_limits<K>::max())),
          last >= kSamples || to == std::numeric_limits<K>::max()};
}

// Of n elements, all of them in the middle.
template <class K, class Elements>
void partition_elements(const Elements& elements, int64_t n, int64_t kth) {
  auto copy = [](auto* to, const auto* from, int64_t count) { std::memcpy(to, from, size_t(count) * sizeof(*to)); };
  int64_t begin = 0, end = n;
  while (n > kSortedMiddle) {
    const Counts counts = elements.split(n, begin, end, range_around<K>(elements, n, kth - begin));
    const int64_t middle = begin + counts.below, above = end - counts.above;
    if (middle <= kth && kth < above) {
      begin = middle;
      end = above;
    } else {
      copy(elements.result + middle, elements.middle, counts.middle);
      (kth < middle ? end : begin) = kth < middle ? middle : above;
      copy(elements.middle, elements.result + begin, end - begin);
    }
    if (end - begin > n / 4 * 3)
      n = 0;  // many are equal
    else
      n = end - begin;
  }
  elements.sort_middle(end - begin);
  copy(elements.result + begin, elements.middle, end - begin);
}

template <class T>
void find_positions(const KeyType<T>* keys, int64_t n, int64_t kth, uint32_t* result, uint32_t* rooms) {
  const Positions<KeyType<T>> positions{keys, result, rooms, rooms + n};
  std::iota(positions.middle, positions.middle + n, 0u);
  partition_elements<KeyType<T>>(positions, n, kth);
}

template <class T>
void partition_lines(const T* in, T* out, const Lines& from, const Lines& to, Dtype dtype, int64_t kth) {
  using K = KeyType<T>;
  const int64_t n = from.length();
  over_lines(from, lines_at_once(from), [&](int64_t line, int64_t count) {
    ThreadRoom room(size_t((count + 2) * n) * sizeof(K) + size_t(count * n) * sizeof(T));
    K *const keys = room.take<K>(count * n), *const result = room.take<K>(n), *const spare = room.take<K>(n);
    T* const parted = to.are_dense() ? out + to.start(line) : room.take<T>(count * n);
    const bool same = keys_of_lines(in, from, line, count, keys, dtype);
    Pooled<uint32_t> positions(same ? 0 : 3 * n);
    for (int64_t l = 0; l < count; ++l) {
      if (same) {
        partition_elements<K>(Keys<K>{result, keys + l * n, spare}, n, kth);
        sort_table().values[int(dtype)](parted + l * n, result, n);
      } else {
        find_positions<T>(keys + l * n, n, kth, positions.data(), positions.data() + n);
        const T* const x = in + from.start(line + l);
        for (int64_t i = 0; i < n; ++i) parted[l * n + i] = x[positions.data()[i] * from.step()];
      }
    }
    if (!to.are_dense()) put_lines(parted, out, to, line, count);
  });
}

template <class T>
void argpartition_lines(const T* in, uint32_t* out, const Lines& from, const Lines& to, Dtype dtype, int64_t kth) {
  using K = KeyType<T>;
  const int64_t n = from.length();
  over_lines(from, lines_at_once(from), [&](int64_t line, int64_t count) {
    ThreadRoom room(size_t(count * n) * sizeof(K) + size_t((count + 2) * n) * sizeof(uint32_t));
    K* const keys = room.take<K>(count * n);
    uint32_t* const others = room.take<uint32_t>(2 * n);
    uint32_t* const positions = to.are_dense() ? out + to.start(line) : room.take<uint32_t>(count * n);
    keys_of_lines(in, from, line, count, keys, dtype);
    for (int64_t l = 0; l < count; ++l) find_positions<T>(keys + l * n, n, kth, positions + l * n, others);
    if (!to.are_dense()) put_lines(positions, out, to, line, count);
  });
}

template <class Kth>
int64_t kth_of(const Primitive& primitive) {
  return static_cast<const Kth&>(primitive).kth();
}

std::unique_ptr<Kernel> make_partition(const Primitive& primitive, std::span<const Layout> inputs,
                                       std::span<const Layout> outputs, const KernelProgram* epilogue) {
  const int axis = static_cast<const AlongAxis&>(primitive).axis();
  const bool values = primitive.name() == "partition";
  const int64_t kth = values ? kth_of<PartitionedValues>(primitive) : kth_of<ArgPartition>(primitive);
  const Lines from(inputs[0], axis), to(outputs[0], axis);
  const Dtype dtype = inputs[0].dtype;
  if (from.length() > kSortedLines && !is_complex(dtype))
    return visit_dtype(dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
      using T = typename decltype(tag)::type;
      if constexpr (!std::is_same_v<T, complex64_t>)
        return make_kernel([=](std::span<std::byte* const> at) {
          const T* x = reinterpret_cast<const T*>(at[0]);
          if (values)
            partition_lines(x, reinterpret_cast<T*>(at[1]), from, to, dtype, kth);
          else
            argpartition_lines(x, reinterpret_cast<uint32_t*>(at[1]), from, to, dtype, kth);
        });
      return nullptr;
    });
  return (values ? make_sort : make_argsort)(primitive, inputs, outputs, epilogue);
}

const RegisterKernel partition_registered("partition", make_partition);
const RegisterKernel argpartition_registered("argpartition", make_partition);

}  // namespace
}  // namespace funcnn::cpu
