#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
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
    if (Bits(bits & Bits(~sign)) > infinity) return nan;
    return bits & sign ? Bits(Bits(0) - bits) : Bits(bits | sign);
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
constexpr int64_t kGrain = 4096;  // elements a thread takes at least

template <class K>
void sort_keys(std::vector<K>& keys, std::vector<K>& spare) {
  if (keys.size() < radix_from<K>())
    std::sort(keys.begin(), keys.end());
  else
    radix_sort(keys, spare, [](K key) { return key; });
}

// Drop keys that cannot be among the k largest, judged by their leading bits.
template <class K>
void keep_candidates(std::vector<K>& keys, std::vector<K>& spare, int64_t k) {
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

// The last `to.length()` of the sorted elements of each line.
template <class T>
void sort_lines(const T* in, T* out, const Lines& from, const Lines& to) {
  int64_t n = from.length(), k = to.length();
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
        if (k < n / 2) keep_candidates(keys, spare, k);
        sort_keys(keys, spare);
        const auto* last = keys.data() + keys.size() - k;
        for (int64_t i = 0; i < k; ++i) y[i * to.step()] = K::value(last[i]);
        if constexpr (requires { K::nan; })
          for (typename K::type key : {K::zero, K::nan}) put_values<T>(key, std::span(last, size_t(k)), x, from, y, to);
      }
    }
  });
}

template <class T>
void argsort_lines(const T* in, uint32_t* out, const Lines& from, const Lines& to) {
  int64_t n = from.length();
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
      struct Item {
        typename K::type key;
        uint32_t position;
      };
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
          radix_sort(items, spare, [](const Item& item) { return item.key; });
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
