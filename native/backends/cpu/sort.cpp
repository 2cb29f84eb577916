#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <memory>
#include <numeric>
#include <span>
#include <vector>

#include "backends/cpu/kernels.h"
#include "backends/cpu/lines.h"
#include "backends/cpu/radix_sort.h"
#include "base/thread_pool.h"
#include "ops/sort_primitives.h"

namespace funcnn::cpu {
namespace {

// Unsigned keys that order as the values do: NaN (any) last, -0 equal to 0.
template <class T>
struct Key {
  using type = std::make_unsigned_t<T>;
  static constexpr type sign = std::is_signed_v<T> ? type(1) << (sizeof(T) * 8 - 1) : 0;
  static type of(T value) { return type(type(value) ^ sign); }
  static T value(type key) { return T(key ^ sign); }
};
template <>
struct Key<bool> {
  using type = uint8_t;
  static type of(bool value) { return value; }
  static bool value(type key) { return key != 0; }
};
// Of floats, zeros of both signs have one key, and so do all NaN.
template <class T, class Bits, Bits infinity>
struct FloatKey {
  using type = Bits;
  static constexpr Bits sign = Bits(Bits(1) << (sizeof(Bits) * 8 - 1));
  static constexpr Bits zero = sign, nan = Bits(~Bits(0));
  static type of(T value) {
    Bits bits = std::bit_cast<Bits>(value);
    // Without branches, which signs by chance would send the wrong way.
    const Bits negative = Bits(Bits(0) - Bits(bits >> (sizeof(Bits) * 8 - 1)));
    const Bits key = Bits(Bits(bits ^ negative) + Bits(Bits(negative & Bits(1)) + Bits(Bits(~negative) & sign)));
    return Bits(bits & Bits(~sign)) > infinity ? nan : key;
  }
  static T value(type key) {
    if (key == nan) return std::bit_cast<T>(Bits(infinity | Bits(infinity >> 1)));
    return std::bit_cast<T>(key & sign ? Bits(key & Bits(~sign)) : Bits(Bits(0) - key));
  }
};
template <>
struct Key<float> : FloatKey<float, uint32_t, 0x7f800000u> {};
template <>
struct Key<double> : FloatKey<double, uint64_t, 0x7ff0000000000000ull> {};
template <>
struct Key<float16_t> : FloatKey<float16_t, uint16_t, 0x7c00> {};
template <>
struct Key<bfloat16_t> : FloatKey<bfloat16_t, uint16_t, 0x7f80> {};

bool complex_less(complex64_t a, complex64_t b) {
  bool a_nan = std::isnan(a.real()) || std::isnan(a.imag()), b_nan = std::isnan(b.real()) || std::isnan(b.imag());
  if (a_nan || b_nan) return b_nan && !a_nan;
  return a.real() != b.real() ? a.real() < b.real() : a.imag() < b.imag();
}

// Below this many elements comparing is faster.
template <class K>
constexpr size_t radix_from() {
  return 16 * sizeof(K);
}
constexpr int64_t kFewCandidates = 64;  // no fewer are left out one by one
constexpr int64_t kGrain = 4096;        // elements a thread takes at least

// Long lines are sorted by all threads, one after the other, where there are fewer of them than threads: one thread
// alone is quicker by the other way.
bool are_shared(const Lines& lines) { return lines.length() >= 65536 && lines.count() < thread_count(); }
// The pieces of a line that threads go through.
template <class F>
void over_line(int64_t n, F&& body) {
  parallel_for((n + kGrain - 1) / kGrain, 4,
               [&](int64_t begin, int64_t end) { body(begin * kGrain, std::min(n, end * kGrain)); });
}
// Memory for items, without values, that begins with a line.
template <class T>
class Room {
 public:
  void fit(int64_t n) {
    if (!memory_) memory_.reset(new Line[size_t(n) * sizeof(T) / kLineBytes + 1]);
  }
  T* data() { return reinterpret_cast<T*>(memory_.get()); }

 private:
  struct alignas(kLineBytes) Line {
    std::byte bytes[kLineBytes];
  };
  std::unique_ptr<Line[]> memory_;
};

template <class K>
void sort_keys(std::vector<K>& keys, std::vector<K>& spare, bool whole_numbers) {
  if (keys.size() < radix_from<K>())
    std::sort(keys.begin(), keys.end());
  else
    radix_sort(keys, spare, [](K key) { return key; }, whole_numbers);
}

// Drops keys that cannot be among the k largest, judged by their leading bits.
template <class K>
void drop_by_first_bits(std::vector<K>& keys, std::vector<K>& spare, int64_t k) {
  constexpr int kBits = sizeof(K) == 1 ? 8 : 11, kShift = int(sizeof(K)) * 8 - kBits;
  std::array<uint32_t, 1 << kBits> counts{};
  for (K key : keys) ++counts[size_t(key >> kShift)];
  size_t bucket = counts.size();
  for (int64_t found = 0; found < k;) found += counts[--bucket];
  spare.clear();
  for (K key : keys)
    if (size_t(key >> kShift) >= bucket) spare.push_back(key);
  keys.swap(spare);
}
// Keeps the k largest keys, and perhaps a few more, in no order: digit by digit of those that may be among them, from
// the first on in which they differ.
template <class K>
void keep_largest(std::vector<K>& keys, std::vector<K>& spare, int64_t k) {
  constexpr int kBits = 8;
  auto open = keys.begin();  // those before are among the largest
  for (int64_t wanted = k; keys.end() - open > 4 * wanted + kFewCandidates;) {
    const auto [least, most] = key_range(0, keys.end() - open, [&](int64_t i) { return open[i]; });
    const int shift = std::max(0, int(std::bit_width(K(most - least))) - kBits);
    auto digit = [least = least, shift](K key) { return size_t(K(key - least) >> shift); };
    std::array<int64_t, 1 << kBits> counts{};
    for (auto at = open; at != keys.end(); ++at) ++counts[digit(*at)];
    size_t bucket = counts.size();
    while (counts[--bucket] < wanted) wanted -= counts[bucket];
    // All beyond the bucket, then those in it.
    spare.clear();
    for (auto at = open; at != keys.end(); ++at) {
      const size_t d = digit(*at);
      if (d > bucket)
        *open++ = *at;
      else if (d == bucket)
        spare.push_back(*at);
    }
    open = std::copy(spare.begin(), spare.end(), open) - ptrdiff_t(spare.size());
    // Those in the bucket of a last digit are equal.
    keys.resize(shift == 0 ? size_t(k) : size_t(open - keys.begin()) + spare.size());
    if (shift == 0) return;
  }
}

// Puts the values of a key where the last of them belong: in their order in the line x. `keys` are sorted.
template <class T, class K>
void put_values(K key, std::span<const K> keys, const T* x, const Lines& from, T* y, const Lines& to) {
  auto [first, last] = std::equal_range(keys.begin(), keys.end(), key);
  int64_t i = from.length();
  while (last != first) {
    --last;
    do --i;
    while (Key<T>::of(x[i * from.step()]) != key);
    y[(last - keys.begin()) * to.step()] = x[i * from.step()];
  }
}

// Where keys of a line are sorted: all, or the few that may be among the largest.
template <class K>
struct Sorting {
  Room<K> all[2];
  std::vector<K> few, spare;
};
// The last k of the sorted keys of a line.
template <class T>
std::span<const typename Key<T>::type> sort_shared(const T* x, int64_t step, int64_t n, int64_t k,
                                                   Sorting<typename Key<T>::type>& in) {
  using K = typename Key<T>::type;
  auto key_at = [&](int64_t i) { return Key<T>::of(x[i * step]); };
  if (k >= n / 2) {
    for (auto& keys : in.all) keys.fit(n);
    K* const keys = in.all[0].data();
    over_line(n, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) keys[i] = key_at(i);
    });
    const K* sorted = radix_sort_shared(keys, in.all[1].data(), n, [](K key) { return key; });
    return {sorted + (n - k), size_t(k)};
  }
  // Without those that their first digit keeps from being among the largest.
  using Counts = std::array<int64_t, 1 << 11>;
  const Parts parts(n);
  std::pair<K, K> range(K(0), K(~K(0)));
  if (std::is_integral_v<T>) range = key_range<K>(parts, key_at);  // whole numbers are often few
  const int shift = std::max(0, int(std::bit_width(K(range.second - range.first))) - 11);
  auto digit = [least = range.first, shift](K key) { return size_t(K(key - least) >> shift); };
  std::vector<Counts> counts(size_t(parts.count()));
  parts.each([&](size_t part, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) ++counts[part][digit(key_at(i))];
  });
  size_t bucket = counts[0].size();
  for (int64_t found = 0; found < k;) {
    --bucket;
    for (const Counts& c : counts) found += c[bucket];
  }
  std::vector<int64_t> starts;
  int64_t total = 0;
  for (const Counts& c : counts)
    starts.push_back(std::exchange(total, std::accumulate(c.begin() + ptrdiff_t(bucket), c.end(), total)));
  in.few.resize(size_t(total));
  parts.each([&](size_t part, int64_t begin, int64_t end) {
    K* to = in.few.data() + starts[part];
    for (int64_t i = begin; i < end; ++i)
      if (const K key = key_at(i); digit(key) >= bucket) *to++ = key;
  });
  keep_largest(in.few, in.spare, k);
  sort_keys(in.few, in.spare, std::is_integral_v<T>);
  return std::span<const K>(in.few).last(size_t(k));
}

// The last `to.length()` of the sorted elements of each line.
template <class T>
void sort_lines(const T* in, T* out, const Lines& from, const Lines& to) {
  int64_t n = from.length(), k = to.length();
  if constexpr (!std::is_same_v<T, complex64_t>) {
    if (are_shared(from)) {
      using K = Key<T>;
      Sorting<typename K::type> sorting;
      for (int64_t line = 0; line < from.count(); ++line) {
        const T* x = in + from.start(line);
        T* y = out + to.start(line);
        const std::span<const typename K::type> last = sort_shared(x, from.step(), n, k, sorting);
        over_line(k, [&](int64_t begin, int64_t stop) {
          for (int64_t i = begin; i < stop; ++i) y[i * to.step()] = K::value(last[size_t(i)]);
        });
        if constexpr (requires { K::nan; })
          for (typename K::type key : {K::zero, K::nan}) put_values<T>(key, last, x, from, y, to);
      }
      return;
    }
  }
  parallel_for(from.count(), std::max<int64_t>(1, kGrain / n), [&](int64_t begin, int64_t end) {
    if constexpr (std::is_same_v<T, complex64_t>) {
      std::vector<T> line(static_cast<size_t>(n));
      for (int64_t l = begin; l < end; ++l) {
        const T* x = in + from.start(l);
        T* y = out + to.start(l);
        for (int64_t i = 0; i < n; ++i) line[size_t(i)] = x[i * from.step()];
        std::stable_sort(line.begin(), line.end(), complex_less);
        for (int64_t i = 0; i < k; ++i) y[i * to.step()] = line[size_t(n - k + i)];
      }
    } else {
      using K = Key<T>;
      std::vector<typename K::type> keys, spare;
      for (int64_t l = begin; l < end; ++l) {
        const T* x = in + from.start(l);
        T* y = out + to.start(l);
        keys.resize(size_t(n));
        for (int64_t i = 0; i < n; ++i) keys[size_t(i)] = K::of(x[i * from.step()]);
        if (k < n / 2) {
          drop_by_first_bits(keys, spare, k);
          keep_largest(keys, spare, k);
        }
        sort_keys(keys, spare, std::is_integral_v<T>);
        const auto* last = keys.data() + keys.size() - k;
        for (int64_t i = 0; i < k; ++i) y[i * to.step()] = K::value(last[i]);
        if constexpr (requires { K::nan; })
          for (typename K::type key : {K::zero, K::nan}) put_values<T>(key, std::span(last, size_t(k)), x, from, y, to);
      }
    }
  });
}

template <class T>
struct Placed {
  typename Key<T>::type key;
  uint32_t position;
};
template <class T>
void argsort_shared(const T* in, uint32_t* out, const Lines& from, const Lines& to) {
  const int64_t n = from.length();
  Room<Placed<T>> room[2];
  for (auto& items : room) items.fit(n);
  for (int64_t line = 0; line < from.count(); ++line) {
    const T* x = in + from.start(line);
    uint32_t* y = out + to.start(line);
    Placed<T>* const items = room[0].data();
    over_line(n, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) items[i] = {Key<T>::of(x[i * from.step()]), uint32_t(i)};
    });
    const Placed<T>* sorted =
        radix_sort_shared(items, room[1].data(), n, [](const Placed<T>& item) { return item.key; });
    over_line(n, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) y[i * to.step()] = sorted[i].position;
    });
  }
}

template <class T>
void argsort_lines(const T* in, uint32_t* out, const Lines& from, const Lines& to) {
  int64_t n = from.length();
  if constexpr (!std::is_same_v<T, complex64_t>)
    if (are_shared(from)) return argsort_shared(in, out, from, to);
  parallel_for(from.count(), std::max<int64_t>(1, kGrain / n), [&](int64_t begin, int64_t end) {
    if constexpr (std::is_same_v<T, complex64_t>) {
      std::vector<uint32_t> order(static_cast<size_t>(n));
      for (int64_t l = begin; l < end; ++l) {
        const T* x = in + from.start(l);
        uint32_t* y = out + to.start(l);
        std::iota(order.begin(), order.end(), 0u);
        std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
          return complex_less(x[int64_t(a) * from.step()], x[int64_t(b) * from.step()]);
        });
        for (int64_t i = 0; i < n; ++i) y[i * to.step()] = order[size_t(i)];
      }
    } else {
      using K = Key<T>;
      using Item = Placed<T>;
      std::vector<Item> items(static_cast<size_t>(n)), spare;
      for (int64_t l = begin; l < end; ++l) {
        const T* x = in + from.start(l);
        uint32_t* y = out + to.start(l);
        for (int64_t i = 0; i < n; ++i) items[size_t(i)] = {K::of(x[i * from.step()]), uint32_t(i)};
        if (items.size() < radix_from<typename K::type>())
          std::sort(items.begin(), items.end(), [](const Item& a, const Item& b) {
            return a.key != b.key ? a.key < b.key : a.position < b.position;
          });
        else
          radix_sort(items, spare, [](const Item& item) { return item.key; }, std::is_integral_v<T>);
        for (int64_t i = 0; i < n; ++i) y[i * to.step()] = items[size_t(i)].position;
      }
    }
  });
}

std::unique_ptr<Kernel> make_sort(const Primitive& primitive, std::span<const Layout> inputs,
                                  std::span<const Layout> outputs, const KernelProgram*) {
  int axis = static_cast<const AlongAxis&>(primitive).axis();
  return visit_dtype(inputs[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    return make_kernel([from = Lines(inputs[0], axis), to = Lines(outputs[0], axis)](std::span<std::byte* const> at) {
      if (to.length()) sort_lines(reinterpret_cast<const T*>(at[0]), reinterpret_cast<T*>(at[1]), from, to);
    });
  });
}

std::unique_ptr<Kernel> make_argsort(const Primitive& primitive, std::span<const Layout> inputs,
                                     std::span<const Layout> outputs, const KernelProgram*) {
  int axis = static_cast<const ArgSort&>(primitive).axis();
  return visit_dtype(inputs[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    return make_kernel([from = Lines(inputs[0], axis), to = Lines(outputs[0], axis)](std::span<std::byte* const> at) {
      if (from.length()) argsort_lines(reinterpret_cast<const T*>(at[0]), reinterpret_cast<uint32_t*>(at[1]), from, to);
    });
  });
}

// Values in the order of sort: NaN is larger than everything.
template <class T>
bool before(const T& a, const T& b) {
  if constexpr (std::is_same_v<T, complex64_t>)
    return complex_less(a, b);
  else
    return Key<T>::of(a) < Key<T>::of(b);
}

std::unique_ptr<Kernel> make_searchsorted(const Primitive& primitive, std::span<const Layout> inputs,
                                          std::span<const Layout>, const KernelProgram*) {
  bool right = static_cast<const SearchSorted&>(primitive).right();
  return visit_dtype(inputs[0].dtype, [&](auto tag) -> std::unique_ptr<Kernel> {
    using T = typename decltype(tag)::type;
    // A length-1 axis behind the values makes each of them a line.
    Layout values = inputs[1];
    values.shape.push_back(1);
    values.strides.push_back(0);
    Lines each(values, int(values.shape.size()) - 1), rows(inputs[0], int(inputs[0].shape.size()) - 1);
    int64_t per_row = rows.count() ? each.count() / rows.count() : 0;
    return make_kernel([right, each, rows, per_row](std::span<std::byte* const> at) {
      const T *sorted = reinterpret_cast<const T*>(at[0]), *values = reinterpret_cast<const T*>(at[1]);
      uint32_t* out = reinterpret_cast<uint32_t*>(at[2]);
      parallel_for(each.count(), 1024, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          T value = values[each.start(i)];
          const T* row = sorted + rows.start(i / per_row);
          int64_t low = 0, high = rows.length();
          while (low < high) {
            int64_t middle = (low + high) / 2;
            const T& there = row[middle * rows.step()];
            if (right ? !before(value, there) : before(there, value))
              low = middle + 1;
            else
              high = middle;
          }
          out[i] = uint32_t(low);
        }
      });
    });
  });
}

const RegisterKernel sort_registered("sort", make_sort);
const RegisterKernel topk_registered("topk", make_sort);
const RegisterKernel argsort_registered("argsort", make_argsort);
const RegisterKernel searchsorted_registered("searchsorted", make_searchsorted);

}  // namespace
}  // namespace funcnn::cpu
