// <metal_integer> and <metal_relational>.
#pragma once

namespace metal {

// Metal has these for 8 to 64 bits; bool and char take part as integers do.
template <class I>
using __if_integer = enable_if_t<is_integral_v<I>, I>;

template <class I>
inline constexpr uint __bits_of = 8 * sizeof(I);

// Mixed types of integers meet as in C++: the shorter is converted.
template <class A, class B>
using __common_integer = decltype(A() + B());

template <class I>
constexpr __if_integer<I> max(I a, I b) {
  return a < b ? b : a;
}
template <class I>
constexpr __if_integer<I> min(I a, I b) {
  return b < a ? b : a;
}
template <class A, class B, class = enable_if_t<is_integral_v<A> && is_integral_v<B> && !is_same_v<A, B>>>
constexpr __common_integer<A, B> max(A a, B b) {
  return max(__common_integer<A, B>(a), __common_integer<A, B>(b));
}
template <class A, class B, class = enable_if_t<is_integral_v<A> && is_integral_v<B> && !is_same_v<A, B>>>
constexpr __common_integer<A, B> min(A a, B b) {
  return min(__common_integer<A, B>(a), __common_integer<A, B>(b));
}
template <class I>
constexpr __if_integer<I> clamp(I x, I low, I high) {
  return min(max(x, low), high);
}
template <class I>
constexpr __if_integer<I> max3(I a, I b, I c) {
  return max(max(a, b), c);
}
template <class I>
constexpr __if_integer<I> min3(I a, I b, I c) {
  return min(min(a, b), c);
}
template <class I>
constexpr __if_integer<I> median3(I a, I b, I c) {
  return max(min(a, b), min(max(a, b), c));
}
template <class I>
constexpr __if_integer<I> abs(I x) {
  return x < I(0) ? I(-make_unsigned_t<I>(x)) : x;
}
template <class I>
constexpr __if_integer<I> absdiff(I a, I b) {
  using U = make_unsigned_t<I>;
  return I(a > b ? U(U(a) - U(b)) : U(U(b) - U(a)));
}

template <class I>
constexpr __if_integer<I> popcount(I x) {
  return I(__builtin_popcountl(ulong(make_unsigned_t<I>(x))));
}
template <class I>
constexpr __if_integer<I> clz(I x) {
  return I(x ? __builtin_clzl(ulong(make_unsigned_t<I>(x))) - (64 - __bits_of<I>) : __bits_of<I>);
}
template <class I>
constexpr __if_integer<I> ctz(I x) {
  return I(x ? __builtin_ctzl(ulong(make_unsigned_t<I>(x))) : __bits_of<I>);
}
template <class I>
constexpr __if_integer<I> reverse_bits(I x) {
  using U = make_unsigned_t<I>;
  U result = 0;
  for (uint i = 0; i < __bits_of<I>; ++i) result |= U((U(x) >> i & 1) << (__bits_of<I> - 1 - i));
  return I(result);
}
template <class I>
constexpr __if_integer<I> rotate(I x, I by) {
  using U = make_unsigned_t<I>;
  uint n = uint(U(by) % __bits_of<I>);
  return n ? I(U(U(x) << n | U(x) >> (__bits_of<I> - n))) : x;
}
template <class I>
constexpr __if_integer<I> extract_bits(I x, uint offset, uint count) {
  using U = make_unsigned_t<I>;
  return count ? I(I(U(x) << (__bits_of<I> - offset - count)) >> (__bits_of<I> - count)) : I(0);
}
template <class I>
constexpr __if_integer<I> insert_bits(I base, I insert, uint offset, uint count) {
  using U = make_unsigned_t<I>;
  U mask = count >= __bits_of<I> ? U(~U(0)) : U(((U(1) << count) - 1) << offset);
  return I((U(base) & ~mask) | (U(insert) << offset & mask));
}

template <class I>
constexpr __if_integer<I> mulhi(I a, I b) {
  return I(__int128(a) * __int128(b) >> __bits_of<I>);
}
template <>
constexpr ulong mulhi<ulong>(ulong a, ulong b) {
  return ulong((unsigned __int128)a * b >> 64);
}
template <class I>
constexpr __if_integer<I> madhi(I a, I b, I c) {
  return I(mulhi(a, b) + c);
}
template <class I>
constexpr __if_integer<I> mul24(I a, I b) {
  return I(a * b);
}
template <class I>
constexpr __if_integer<I> mad24(I a, I b, I c) {
  return I(a * b + c);
}
template <class I>
constexpr __if_integer<I> __saturated(__int128 x) {
  return x < __int128(numeric_limits<I>::min())   ? numeric_limits<I>::min()
         : x > __int128(numeric_limits<I>::max()) ? numeric_limits<I>::max()
                                                  : I(x);
}
template <class I>
constexpr __if_integer<I> addsat(I a, I b) {
  return __saturated<I>(__int128(a) + __int128(b));
}
template <class I>
constexpr __if_integer<I> subsat(I a, I b) {
  return __saturated<I>(__int128(a) - __int128(b));
}
template <class I>
constexpr __if_integer<I> hadd(I a, I b) {
  return I((__int128(a) + __int128(b)) >> 1);
}
template <class I>
constexpr __if_integer<I> rhadd(I a, I b) {
  return I((__int128(a) + __int128(b) + 1) >> 1);
}

template <class V>
using __if_integers = enable_if_t<is_integral_v<__element_t<V>>, V>;

#define METAL_ON_VECTORS1(name)                          \
  template <class A, class V = __common_vector<A>>       \
  constexpr __if_integers<V> name(const A& first) {      \
    V x(first);                                          \
    for (int i = 0; i < V::size; ++i) x[i] = name(x[i]); \
    return x;                                            \
  }
#define METAL_ON_VECTORS2(name)                                      \
  template <class A, class B, class V = __common_vector<A, B>>       \
  constexpr __if_integers<V> name(const A& first, const B& second) { \
    V x(first), y(second);                                           \
    for (int i = 0; i < V::size; ++i) x[i] = name(x[i], y[i]);       \
    return x;                                                        \
  }
METAL_ON_VECTORS1(abs)
METAL_ON_VECTORS1(popcount)
METAL_ON_VECTORS1(clz)
METAL_ON_VECTORS1(ctz)
METAL_ON_VECTORS1(reverse_bits)
METAL_ON_VECTORS2(max)
METAL_ON_VECTORS2(min)
METAL_ON_VECTORS2(mulhi)
METAL_ON_VECTORS2(rotate)
METAL_ON_VECTORS2(absdiff)
METAL_ON_VECTORS2(addsat)
METAL_ON_VECTORS2(subsat)
#undef METAL_ON_VECTORS1
#undef METAL_ON_VECTORS2
template <class A, class B, class C, class V = __common_vector<A, B, C>>
constexpr __if_integers<V> clamp(const A& x, const B& low, const C& high) {
  return min(max(V(x), V(low)), V(high));
}

// A choice: b where c holds.
template <class T>
enable_if_t<is_arithmetic_v<T>, T> select(T a, T b, bool c) {
  return c ? b : a;
}
template <class A, class B, class C, class V = __common_vector<A, B>, class W = __common_vector<C>>
V select(const A& first, const B& second, const C& choice) {
  V a(first), b(second);
  W c(choice);
  for (int i = 0; i < V::size; ++i) a[i] = c[i] ? b[i] : a[i];
  return a;
}
template <class A, class B, class V = __common_vector<A, B>>
V select(const A& a, const B& b, bool c) {
  return c ? V(b) : V(a);
}
inline bool any(bool c) { return c; }
inline bool all(bool c) { return c; }
template <int N>
bool any(vec<bool, N> c) {
  bool result = false;
  for (int i = 0; i < N; ++i) result |= c[i];
  return result;
}
template <int N>
bool all(vec<bool, N> c) {
  bool result = true;
  for (int i = 0; i < N; ++i) result &= c[i];
  return result;
}

}  // namespace metal
