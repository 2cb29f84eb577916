// <metal_simdgroup>: functions of the 32 lanes of a SIMD group, and of the 4 of a quad.
#pragma once

namespace metal {

template <class T>
inline constexpr bool __is_exchangeable_v = is_arithmetic_v<T> && !is_same_v<T, bfloat>;
template <class T>
using __if_exchangeable = enable_if_t<__is_exchangeable_v<T>, T>;

#define METAL_CONVERGENT __attribute__((convergent)) inline
// The number of a function among those that exchange.
#define METAL_OPERATION (__COUNTER__)

// The same on every component.
#define METAL_ON_VECTORS(name)                                                     \
  template <class T, int N>                                                        \
  METAL_CONVERGENT vec<T, N> name(vec<T, N> value, uint line = __builtin_LINE()) { \
    vec<T, N> result(T(0));                                                        \
    for (int i = 0; i < N; ++i) result[i] = name(T(value[i]), line);               \
    return result;                                                                 \
  }

// Over lanes [first, last) that take part, in their order.
#define METAL_REDUCTION(name, first, last, expression)                                \
  template <class T>                                                                  \
  METAL_CONVERGENT __if_exchangeable<T> name(T value, uint line = __builtin_LINE()) { \
    auto all = __exchange(value, METAL_OPERATION, line);                              \
    bool any = false;                                                                 \
    T a = value;                                                                      \
    for (uint i = first; i < last; ++i) {                                             \
      if (!all.has(i)) continue;                                                      \
      T b = all[i];                                                                   \
      a = any ? T(expression) : b;                                                    \
      any = true;                                                                     \
    }                                                                                 \
    return a;                                                                         \
  }                                                                                   \
  METAL_ON_VECTORS(name)
METAL_REDUCTION(simd_sum, 0, 32, a + b)
METAL_REDUCTION(simd_product, 0, 32, a* b)
METAL_REDUCTION(simd_max, 0, 32, max(a, b))
METAL_REDUCTION(simd_min, 0, 32, min(a, b))
METAL_REDUCTION(simd_and, 0, 32, a& b)
METAL_REDUCTION(simd_or, 0, 32, a | b)
METAL_REDUCTION(simd_xor, 0, 32, a ^ b)
#define METAL_QUAD(name, expression) METAL_REDUCTION(name, (all.lane() & ~3u), (all.lane() & ~3u) + 4, expression)
METAL_QUAD(quad_sum, a + b)
METAL_QUAD(quad_product, a* b)
METAL_QUAD(quad_max, max(a, b))
METAL_QUAD(quad_min, min(a, b))
METAL_QUAD(quad_and, a& b)
METAL_QUAD(quad_or, a | b)
METAL_QUAD(quad_xor, a ^ b)
#undef METAL_QUAD
#undef METAL_REDUCTION

#define METAL_SCAN(name, first, inclusive, neutral, expression)                       \
  template <class T>                                                                  \
  METAL_CONVERGENT __if_exchangeable<T> name(T value, uint line = __builtin_LINE()) { \
    auto all = __exchange(value, METAL_OPERATION, line);                              \
    T a = T(neutral);                                                                 \
    for (uint i = first; i < all.lane() + inclusive; ++i) {                           \
      if (!all.has(i)) continue;                                                      \
      T b = all[i];                                                                   \
      a = T(expression);                                                              \
    }                                                                                 \
    return a;                                                                         \
  }                                                                                   \
  METAL_ON_VECTORS(name)
METAL_SCAN(simd_prefix_inclusive_sum, 0, 1, 0, a + b)
METAL_SCAN(simd_prefix_exclusive_sum, 0, 0, 0, a + b)
METAL_SCAN(simd_prefix_inclusive_product, 0, 1, 1, a* b)
METAL_SCAN(simd_prefix_exclusive_product, 0, 0, 1, a* b)
METAL_SCAN(quad_prefix_inclusive_sum, (all.lane() & ~3u), 1, 0, a + b)
METAL_SCAN(quad_prefix_exclusive_sum, (all.lane() & ~3u), 0, 0, a + b)
METAL_SCAN(quad_prefix_inclusive_product, (all.lane() & ~3u), 1, 1, a* b)
METAL_SCAN(quad_prefix_exclusive_product, (all.lane() & ~3u), 0, 1, a* b)
#undef METAL_SCAN

// A lane's value from another; `me` is the lane, `by` the argument.
#define METAL_SHUFFLE(name, from)                                                                \
  template <class T>                                                                             \
  METAL_CONVERGENT __if_exchangeable<T> name(T value, ushort by, uint line = __builtin_LINE()) { \
    auto all = __exchange(value, METAL_OPERATION, line);                                         \
    [[maybe_unused]] uint me = all.lane();                                                       \
    return all.at(uint(from));                                                                   \
  }                                                                                              \
  template <class T, int N>                                                                      \
  METAL_CONVERGENT vec<T, N> name(vec<T, N> value, ushort by, uint line = __builtin_LINE()) {    \
    vec<T, N> result(T(0));                                                                      \
    for (int i = 0; i < N; ++i) result[i] = name(T(value[i]), by, line);                         \
    return result;                                                                               \
  }
METAL_SHUFFLE(simd_broadcast, by)
METAL_SHUFFLE(simd_shuffle, by)
METAL_SHUFFLE(simd_shuffle_down, me + by)
METAL_SHUFFLE(simd_shuffle_up, me - by)
METAL_SHUFFLE(simd_shuffle_xor, me ^ by)
METAL_SHUFFLE(simd_shuffle_rotate_down, (me + by) & 31)
METAL_SHUFFLE(simd_shuffle_rotate_up, (me - by) & 31)
METAL_SHUFFLE(quad_broadcast, (me & ~3u) | (by & 3))
METAL_SHUFFLE(quad_shuffle, (me & ~3u) | (by & 3))
METAL_SHUFFLE(quad_shuffle_xor, (me & ~3u) | ((me ^ by) & 3))
METAL_SHUFFLE(quad_shuffle_down, (me & 3) + by < 4 ? me + by : 32)
METAL_SHUFFLE(quad_shuffle_up, (me & 3) >= by ? me - by : 32)
METAL_SHUFFLE(quad_shuffle_rotate_down, (me & ~3u) | ((me + by) & 3))
METAL_SHUFFLE(quad_shuffle_rotate_up, (me & ~3u) | ((me - by) & 3))
#undef METAL_SHUFFLE

template <class T>
struct __filled_value {
  T value, filling;
};
template <class T>
METAL_CONVERGENT __if_exchangeable<T> simd_shuffle_and_fill_up(T value, T filling, ushort by, ushort modulo = 32,
                                                               uint line = __builtin_LINE()) {
  auto all = __exchange(__filled_value<T>{value, filling}, METAL_OPERATION, line);
  uint me = all.lane();
  return me % modulo >= by ? all.at(me - by).value : all.at(me - by + modulo).filling;
}
template <class T>
METAL_CONVERGENT __if_exchangeable<T> simd_shuffle_and_fill_down(T value, T filling, ushort by, ushort modulo = 32,
                                                                 uint line = __builtin_LINE()) {
  auto all = __exchange(__filled_value<T>{value, filling}, METAL_OPERATION, line);
  uint me = all.lane();
  return me % modulo + by < modulo ? all.at(me + by).value : all.at(me + by - modulo).filling;
}

template <class T>
METAL_CONVERGENT __if_exchangeable<T> simd_broadcast_first(T value, uint line = __builtin_LINE()) {
  auto all = __exchange(value, METAL_OPERATION, line);
  return all[uint(__builtin_ctz(all.exchanged.mask))];
}
METAL_ON_VECTORS(simd_broadcast_first)

class simd_vote {
 public:
  using vote_t = ulong;
  explicit constexpr simd_vote(vote_t votes = 0) : votes_(votes) {}
  explicit constexpr operator vote_t() const { return votes_; }
  constexpr bool all() const { return votes_ == 0xffffffff; }
  constexpr bool any() const { return votes_ != 0; }

 private:
  vote_t votes_;
};

METAL_CONVERGENT simd_vote simd_ballot(bool vote, uint line = __builtin_LINE()) {
  auto all = __exchange(vote, METAL_OPERATION, line);
  ulong votes = 0;
  for (uint i = 0; i < 32; ++i)
    if (all.has(i) && all[i]) votes |= 1ul << i;
  return simd_vote(votes);
}
METAL_CONVERGENT bool simd_any(bool vote, uint line = __builtin_LINE()) { return simd_ballot(vote, line).any(); }
METAL_CONVERGENT bool simd_all(bool vote, uint line = __builtin_LINE()) { return !simd_ballot(!vote, line).any(); }
METAL_CONVERGENT simd_vote simd_active_threads_mask(uint line = __builtin_LINE()) {
  return simd_vote(__exchange(true, METAL_OPERATION, line).exchanged.mask);
}
METAL_CONVERGENT bool simd_is_first(uint line = __builtin_LINE()) {
  auto all = __exchange(true, METAL_OPERATION, line);
  return uint(__builtin_ctz(all.exchanged.mask)) == all.lane();
}
METAL_CONVERGENT bool quad_is_first(uint line = __builtin_LINE()) {
  auto all = __exchange(true, METAL_OPERATION, line);
  return uint(__builtin_ctz(all.exchanged.mask >> (all.lane() & ~3u))) == (all.lane() & 3);
}
METAL_CONVERGENT bool simd_is_helper_thread() { return false; }

#undef METAL_ON_VECTORS

}  // namespace metal
