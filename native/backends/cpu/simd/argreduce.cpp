// Places of largest and smallest elements: search for a value, and lines that advance together.
#include "backends/cpu/argreduce.h"

#include <type_traits>

#include "backends/cpu/simd/of_this_set.h"
#include "backends/cpu/simd/types.h"
#include "backends/cpu/simd/vectors.h"
#include "base/half.h"

namespace funcnn::cpu {
extern const ArgReduceTable FUNCNN_OF_THIS_SET(arg_reduce_table_);

namespace {

// Whether an element is NaN, or what was asked for.
struct Nan {
  template <class V>
  FUNCNN_INLINE auto operator()(V x) const {
    return x != x;
  }
};
template <class T>
struct Same {
  T value;
  template <class V>
  FUNCNN_INLINE auto operator()(V x) const {
    return x == value;
  }
};

template <class T, class Is>
FUNCNN_INLINE int64_t first_that(const T* x, int64_t n, Is is) {
  int64_t i = 0;
#if defined(FUNCNN_VECTORS)
  constexpr int width = simd::kLanesOf<T>, count = 4;
  const auto is_at = [&](int64_t at) { return simd::Vector<int64_t>(is(simd::load(x + at))); };
  for (; i + count * width <= n; i += count * width) {
    simd::Vector<int64_t> found{};
    FUNCNN_UNROLL
    for (int k = 0; k < count; ++k) found |= is_at(i + k * width);
    if (simd::any_bit(found)) break;
  }
  while (i + width <= n && !simd::any_bit(is_at(i))) i += width;
#endif
  while (i < n && !is(x[i])) ++i;
  return i;
}
template <class T>
int64_t find(const void* x, int64_t n, const void* value) {
  const T v = *static_cast<const T*>(value);
  if (v != v) return first_that(static_cast<const T*>(x), n, Nan());
  return first_that(static_cast<const T*>(x), n, Same<T>{v});
}

template <bool largest, class T>
void across(uint32_t* FUNCNN_RESTRICT out, const void* in, int64_t n, int64_t count, int64_t step) {
  using W = std::conditional_t<std::is_integral_v<T>, std::conditional_t<sizeof(T) < 4, int32_t, T>,
                               std::conditional_t<sizeof(T) < 4, float, T>>;
  constexpr int64_t kTogether = 512;
  for (int64_t begin = 0; begin < count; begin += kTogether, out += kTogether) {
    const int64_t together = count - begin < kTogether ? count - begin : kTogether;
    const T* FUNCNN_RESTRICT x = static_cast<const T*>(in) + begin;
    W best[kTogether];
    for (int64_t k = 0; k < together; ++k) best[k] = W(x[k]), out[k] = 0;
    for (int64_t i = 1; i < n; ++i) {
      x += step;
      for (int64_t k = 0; k < together; ++k) {
        const W value = W(x[k]);
        // NaN is neither below nor above, and stays once it is there.
        const bool better = !(largest ? value <= best[k] : value >= best[k]) & (best[k] == best[k]);
        best[k] = better ? value : best[k];
        out[k] = better ? uint32_t(i) : out[k];
      }
    }
  }
}

template <bool largest, int infinity>
void keys(int16_t* FUNCNN_RESTRICT keys, const void* in, int64_t n) {
  const int16_t* FUNCNN_RESTRICT x = static_cast<const int16_t*>(in);
  for (int64_t i = 0; i < n; ++i) {
    const int16_t size = int16_t(x[i] & 0x7fff), key = x[i] < 0 ? int16_t(-size) : size;
    keys[i] = size > infinity ? int16_t(largest ? 0x7fff : -0x7fff) : key;
  }
}

template <class... Ts>
constexpr void add(ArgReduceTable& t, simd::Types<Ts...>) {
  ((t.find[simd::DtypeOf<Ts>::value] = find<Ts>), ...);
  ((t.across[0][simd::DtypeOf<Ts>::value] = across<false, Ts>), ...);
  ((t.across[1][simd::DtypeOf<Ts>::value] = across<true, Ts>), ...);
}
template <class T, int infinity>
constexpr void add_half(ArgReduceTable& t, Dtype dtype) {
  t.across[0][int(dtype)] = across<false, T>;
  t.across[1][int(dtype)] = across<true, T>;
  t.keys[0][int(dtype)] = keys<false, infinity>;
  t.keys[1][int(dtype)] = keys<true, infinity>;
}

constexpr ArgReduceTable make_table() {
  ArgReduceTable t{};
  add(t, simd::Reals{});
  constexpr int b = int(Dtype::bool_), u = int(Dtype::uint8);
  t.find[b] = t.find[u];
  for (auto& entry : t.across) entry[b] = entry[u];
  add_half<float16_t, 0x7c00>(t, Dtype::float16);
  add_half<bfloat16_t, 0x7f80>(t, Dtype::bfloat16);
  return t;
}

}  // namespace

const ArgReduceTable FUNCNN_OF_THIS_SET(arg_reduce_table_) = make_table();

}  // namespace funcnn::cpu
