// Values in order: by keys of 32 or 64 bits, or, of many short values, by counting them.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <memory>
#include <vector>

#include "backends/cpu/sort_kernels.h"
#include "backends/cpu/sort_order.h"
#include "backends/cpu/sorting.h"
#include "ops/sort_primitives.h"

namespace funcnn::cpu {
namespace {

// Puts the values of a key, which are at [first, last) of all sorted, where the last of them belong: in their order in
// the line x. The line y begins at `begin` of all.
template <class T>
void put_values(KeyType<T> key, int64_t first, int64_t last, int64_t begin, const T* x, const Lines& from, T* y,
                const Lines& to) {
  int64_t i = from.length();
  for (first = std::max(first, begin); last > first;) {
    do --i;
    while (Key<T>::of(x[i * from.step()]) != key);
    y[(--last - begin) * to.step()] = x[i * from.step()];
  }
}
// The same of keys that stand for several values, of which those in the line are sorted.
template <class T>
void put_like_values(const KeyType<T>* sorted, int64_t count, int64_t begin, const T* x, const Lines& from, T* y,
                     const Lines& to) {
  if constexpr (requires { Key<T>::nan; })
    for (KeyType<T> key : {Key<T>::zero, Key<T>::nan}) {
      const auto [first, last] = std::equal_range(sorted, sorted + count, key);
      put_values<T>(key, begin + (first - sorted), begin + (last - sorted), begin, x, from, y, to);
    }
}

// ---- counting

// From so many elements on, values of so many bytes are counted.
template <class T>
constexpr int64_t counted_from() {
  return sizeof(T) == 1 ? 512 : 131072;
}

// How often each value is in a line, in order. Values are told apart by all of their bits.
template <class T>
class Counted {
 public:
  using Bits = std::conditional_t<sizeof(T) == 1, uint8_t, uint16_t>;
  static constexpr size_t kValues = size_t(1) << 8 * sizeof(T);

  Counted(const T* x, int64_t step, const Parts& parts) {
    std::vector<uint32_t> counts(kValues * size_t(parts.count()));
    parts.each([&](size_t part, int64_t begin, int64_t end) {
      uint32_t* const c = counts.data() + part * kValues;
      for (int64_t i = begin; i < end; ++i) ++c[std::bit_cast<Bits>(x[i * step])];
    });
    for (size_t part = 1; part < size_t(parts.count()); ++part)
      for (size_t v = 0; v < kValues; ++v) counts[v] += counts[part * kValues + v];
    // Those of one key count as the value of the key.
    std::vector<uint32_t> by_key(kValues);
    for (size_t v = 0; v < kValues; ++v) {
      const size_t number = number_of(Key<T>::of(std::bit_cast<T>(Bits(v))));
      by_key[number] += counts[v];
      like_ |= counts[v] && std::bit_cast<Bits>(value(number)) != Bits(v);
    }
    starts_.reserve(kValues + 1);
    starts_.push_back(0);
    for (uint32_t count : by_key) starts_.push_back(starts_.back() + count);
  }
  // Whether values stand for others of the same key.
  bool like() const { return like_; }
  int64_t start(KeyType<T> key) const { return starts_[number_of(key)]; }
  int64_t end(KeyType<T> key) const { return starts_[number_of(key) + 1]; }
  // The elements at [begin, end) of all sorted.
  void put(int64_t begin, int64_t end, T* y, int64_t step) const {
    size_t number = size_t(std::upper_bound(starts_.begin(), starts_.end(), begin) - starts_.begin()) - 1;
    for (; begin < end; ++number) {
      const T v = value(number);
      for (const int64_t stop = std::min(end, starts_[number + 1]); begin < stop; ++begin, y += step) *y = v;
    }
  }

 private:
  static constexpr int64_t kLeast = std::is_unsigned_v<T> ? 0 : -(int64_t(1) << (8 * sizeof(T) - 1));
  static size_t number_of(KeyType<T> key) { return size_t(key - kLeast); }
  static T value(size_t number) { return Key<T>::value(KeyType<T>(int64_t(number) + kLeast)); }

  std::vector<int64_t> starts_;
  bool like_ = false;
};

template <class T>
void count_line(const T* x, const Lines& from, T* y, const Lines& to, bool shared) {
  const int64_t n = from.length(), begin = n - to.length();
  const Counted<T> counted(x, from.step(), Parts(n, shared ? thread_count() : 1));
  auto put = [&](int64_t first, int64_t last) {
    counted.put(begin + first, begin + last, y + first * to.step(), to.step());
  };
  if (shared)
    over_line(to.length(), put);
  else
    put(0, to.length());
  if constexpr (requires { Key<T>::nan; })
    if (counted.like())
      for (KeyType<T> key : {Key<T>::zero, Key<T>::nan})
        put_values<T>(key, counted.start(key), counted.end(key), begin, x, from, y, to);
}

// ---- sorting

// The last few keys of a long line, of which each part of it has candidates: its own last ones.
template <class T>
std::vector<KeyType<T>> last_keys(const T* x, int64_t step, int64_t n, int64_t k, Dtype dtype, bool& same) {
  using K = KeyType<T>;
  constexpr int64_t kPart = 65536, kOfCandidates = 16;
  const KeySorter<K>& sorter = key_sorter<K>();
  const Parts parts(n, std::max<int64_t>(thread_count(), n / std::max(kPart, kOfCandidates * k)));
  std::vector<K> candidates(size_t(k * parts.count())), spare(candidates.size());
  std::vector<uint8_t> alike(size_t(parts.count()));
  parts.each([&](size_t part, int64_t begin, int64_t end) {
    const int64_t count = end - begin;
    ThreadRoom room(2 * size_t(count) * sizeof(K));
    K *const keys = room.take<K>(count), *const other = room.take<K>(count);
    alike[part] = keys_of_part(x, step, begin, end, keys, dtype);
    sorter.sort(keys, other, 1, count, count - k, count);
    std::copy_n(keys + (count - k), k, candidates.data() + int64_t(part) * k);
  });
  same = std::find(alike.begin(), alike.end(), 0) == alike.end();
  const int64_t count = int64_t(candidates.size());
  sorter.sort(candidates.data(), spare.data(), 1, count, count - k, count);
  candidates.erase(candidates.begin(), candidates.end() - k);
  return candidates;
}

template <class T>
void sort_line_shared(const T* x, const Lines& from, T* y, const Lines& to, Dtype dtype) {
  using K = KeyType<T>;
  const int64_t n = from.length(), k = to.length(), begin = n - k;
  const auto values = sort_table().values[int(dtype)];
  bool same = true;
  // Of the last k keys, those at [first, last).
  auto put = [&](const K* sorted, int64_t first, int64_t last) {
    if (to.step() == 1) return values(y + first, sorted + first, last - first);
    T block[kBlock];
    for (; first < last; first += kBlock) {
      const int64_t count = std::min(kBlock, last - first);
      values(block, sorted + first, count);
      for (int64_t i = 0; i < count; ++i) y[(first + i) * to.step()] = block[i];
    }
  };
  if (k < n / (4 * thread_count())) {
    const std::vector<K> last = last_keys(x, from.step(), n, k, dtype, same);
    put(last.data(), 0, k);
    if (!same) put_like_values(last.data(), k, begin, x, from, y, to);
    return;
  }
  Pooled<K> sorted(n), others(sizeof(T) == sizeof(K) && k == n && to.step() == 1 ? 0 : n);
  K* const keys = others.data() ? others.data() : reinterpret_cast<K*>(y);
  std::vector<uint8_t> alike(size_t((n + kGrain - 1) / kGrain), 1);
  over_line(n, [&](int64_t first, int64_t last) {
    alike[size_t(first / kGrain)] = keys_of_part(x, from.step(), first, last, keys + first, dtype);
  });
  sort_shared(keys, sorted.data(), n, begin, n,
              [&](int64_t first, int64_t last) { put(sorted.data() + begin, first - begin, last - begin); });
  same = std::find(alike.begin(), alike.end(), 0) == alike.end();
  if (!same) put_like_values(sorted.data() + begin, k, begin, x, from, y, to);
}

// The last `to.length()` of the sorted elements of each line.
template <class T>
void sort_lines(const T* in, T* out, const Lines& from, const Lines& to, Dtype dtype) {
  using K = KeyType<T>;
  const int64_t n = from.length(), k = to.length();
  if (sizeof(T) <= 2 && n >= counted_from<T>()) {
    if constexpr (sizeof(T) <= 2) {
      const bool shared = are_shared(from);
      auto line = [&](int64_t l) { count_line(in + from.start(l), from, out + to.start(l), to, shared); };
      if (shared) {
        for (int64_t l = 0; l < from.count(); ++l) line(l);
      } else {
        over_lines(from, 1, [&](int64_t l, int64_t) { line(l); });
      }
    }
    return;
  }
  if (are_shared(from)) {
    for (int64_t l = 0; l < from.count(); ++l) sort_line_shared(in + from.start(l), from, out + to.start(l), to, dtype);
    return;
  }
  const int64_t at_once = lines_at_once(from);
  const bool at_their_place = k == n && to.are_dense();
  over_lines(from, at_once, [&](int64_t line, int64_t count) {
    ThreadRoom room(size_t(count * n + n) * sizeof(K) + size_t(count * k) * sizeof(T));
    K *const keys = room.take<K>(count * n), *const spare = room.take<K>(n);
    const bool same = keys_of_lines(in, from, line, count, keys, dtype);
    key_sorter<K>().sort(keys, spare, count, n, n - k, n);
    const auto values = sort_table().values[int(dtype)];
    if (at_their_place) {
      values(out + to.start(line), keys, count * n);
    } else {
      T* const sorted = room.take<T>(count * k);
      for (int64_t l = 0; l < count; ++l) values(sorted + l * k, keys + (l + 1) * n - k, k);
      put_lines(sorted, out, to, line, count);
    }
    if (!same)
      for (int64_t l = 0; l < count; ++l)
        put_like_values(keys + (l + 1) * n - k, k, n - k, in + from.start(line + l), from, out + to.start(line + l),
                        to);
  });
}
void sort_complex(const complex64_t* in, complex64_t* out, const Lines& from, const Lines& to) {
  const int64_t n = from.length(), k = to.length();
  over_lines(from, 1, [&](int64_t l, int64_t) {
    const complex64_t* x = in + from.start(l);
    complex64_t* y = out + to.start(l);
    std::vector<complex64_t> line(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) line[size_t(i)] = x[i * from.step()];
    std::stable_sort(line.begin(), line.end(), before<complex64_t>);
    for (int64_t i = 0; i < k; ++i) y[i * to.step()] = line[size_t(n - k + i)];
  });
}

}  // namespace

std::unique_ptr<Kernel> make_sort(const Primitive& primitive, std::span<const Layout> inputs,
                                  std::span<const Layout> outputs, const KernelProgram*) {
  return make_of_lines(primitive, inputs, outputs,
                       [](const auto* x, std::byte* out, const Lines& from, const Lines& to, Dtype dtype) {
                         using T = std::remove_cvref_t<decltype(*x)>;
                         T* y = reinterpret_cast<T*>(out);
                         if constexpr (std::is_same_v<T, complex64_t>)
                           sort_complex(x, y, from, to);
                         else
                           sort_lines(x, y, from, to, dtype);
                       });
}

namespace {

const RegisterKernel sort_registered("sort", make_sort);
const RegisterKernel topk_registered("topk", make_sort);

}  // namespace
}  // namespace funcnn::cpu
