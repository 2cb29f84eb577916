// vec<T, N>, its swizzles and packed vectors.
#pragma once

namespace metal {

template <class T, int N>
struct vec;

enum __component { __at_x, __at_y, __at_z, __at_w, __at_r = 0, __at_g, __at_b, __at_a };

// Some components of a vector, in whose union it lives.
template <class T, int N, int... indices>
struct __swizzle {
  static constexpr int size = sizeof...(indices);
  using value = vec<T, size>;
  T elements[N];

  __swizzle() = default;
  __swizzle(const __swizzle&) = default;
  constexpr operator value() const { return value(elements[indices]...); }
  constexpr T operator[](int i) const {
    constexpr int places[] = {indices...};
    return elements[places[i]];
  }
  __swizzle& operator=(const __swizzle& other) { return *this = value(other); }
  __swizzle& operator=(const value& other) {
    int i = 0;
    ((elements[indices] = other[i++]), ...);
    return *this;
  }
  __swizzle& operator+=(const value& other) { return *this = value(*this) + other; }
  __swizzle& operator-=(const value& other) { return *this = value(*this) - other; }
  __swizzle& operator*=(const value& other) { return *this = value(*this) * other; }
  __swizzle& operator/=(const value& other) { return *this = value(*this) / other; }
};

// What a constructor argument contributes.
template <class A>
struct __parts {
  static constexpr int count = is_arithmetic_v<A> ? 1 : 1000;
  static constexpr A at(const A& value, int) { return value; }
};
template <class T, int N>
struct __parts<vec<T, N>> {
  static constexpr int count = N;
  static constexpr T at(const vec<T, N>& value, int i) { return value[i]; }
};
template <class T, int N, int... indices>
struct __parts<__swizzle<T, N, indices...>> {
  static constexpr int count = sizeof...(indices);
  static constexpr T at(const __swizzle<T, N, indices...>& value, int i) { return value[i]; }
};

#define METAL_2(a, b) __swizzle<T, size, __at_##a, __at_##b> a##b;
#define METAL_3(a, b, c) __swizzle<T, size, __at_##a, __at_##b, __at_##c> a##b##c;
#define METAL_4(a, b, c, d) __swizzle<T, size, __at_##a, __at_##b, __at_##c, __at_##d> a##b##c##d;
#define METAL_OF_XY(M, ...) M(__VA_ARGS__, x) M(__VA_ARGS__, y)
#define METAL_OF_XYZ(M, ...) M(__VA_ARGS__, x) M(__VA_ARGS__, y) M(__VA_ARGS__, z)
#define METAL_OF_XYZW(M, ...) M(__VA_ARGS__, x) M(__VA_ARGS__, y) M(__VA_ARGS__, z) M(__VA_ARGS__, w)
// All pairs, triples and quadruples that start with `a`, of the letters that EACH runs over.
#define METAL_SWIZZLES_XY(a)    \
  METAL_OF_XY(METAL_2, a)       \
  METAL_OF_XY(METAL_3, a, x)    \
  METAL_OF_XY(METAL_3, a, y)    \
  METAL_OF_XY(METAL_4, a, x, x) \
  METAL_OF_XY(METAL_4, a, x, y) METAL_OF_XY(METAL_4, a, y, x) METAL_OF_XY(METAL_4, a, y, y)
#define METAL_QUADRUPLES_XYZ(a, b) \
  METAL_OF_XYZ(METAL_4, a, b, x) METAL_OF_XYZ(METAL_4, a, b, y) METAL_OF_XYZ(METAL_4, a, b, z)
#define METAL_SWIZZLES_XYZ(a) \
  METAL_OF_XYZ(METAL_2, a)    \
  METAL_OF_XYZ(METAL_3, a, x) \
  METAL_OF_XYZ(METAL_3, a, y) \
  METAL_OF_XYZ(METAL_3, a, z) METAL_QUADRUPLES_XYZ(a, x) METAL_QUADRUPLES_XYZ(a, y) METAL_QUADRUPLES_XYZ(a, z)
#define METAL_QUADRUPLES_XYZW(a, b) \
  METAL_OF_XYZW(METAL_4, a, b, x)   \
  METAL_OF_XYZW(METAL_4, a, b, y) METAL_OF_XYZW(METAL_4, a, b, z) METAL_OF_XYZW(METAL_4, a, b, w)
#define METAL_SWIZZLES_XYZW(a) \
  METAL_OF_XYZW(METAL_2, a)    \
  METAL_OF_XYZW(METAL_3, a, x) \
  METAL_OF_XYZW(METAL_3, a, y) \
  METAL_OF_XYZW(METAL_3, a, z) \
  METAL_OF_XYZW(METAL_3, a, w) \
  METAL_QUADRUPLES_XYZW(a, x) METAL_QUADRUPLES_XYZW(a, y) METAL_QUADRUPLES_XYZW(a, z) METAL_QUADRUPLES_XYZW(a, w)

template <class T, int N>
struct __components;
template <class T>
struct alignas(sizeof(T) * 2) __components<T, 2> {
  static constexpr int size = 2;
  union {
    struct {
      T x, y;
    };
    struct {
      T r, g;
    };
    T elements[2];
    METAL_SWIZZLES_XY(x)
    METAL_SWIZZLES_XY(y)
  };
  __components() = default;
  constexpr __components(T x, T y) : x(x), y(y) {}
  __components(const __components&) = default;
};
template <class T>
struct alignas(sizeof(T) * 4) __components<T, 3> {
  static constexpr int size = 3;
  union {
    struct {
      T x, y, z;
    };
    struct {
      T r, g, b;
    };
    T elements[3];
    METAL_SWIZZLES_XYZ(x)
    METAL_SWIZZLES_XYZ(y)
    METAL_SWIZZLES_XYZ(z)
    METAL_2(r, g) METAL_2(g, b) METAL_3(r, g, b) METAL_3(b, g, r)
  };
  __components() = default;
  constexpr __components(T x, T y, T z) : x(x), y(y), z(z) {}
  __components(const __components&) = default;
};
template <class T>
struct alignas(sizeof(T) * 4) __components<T, 4> {
  static constexpr int size = 4;
  union {
    struct {
      T x, y, z, w;
    };
    struct {
      T r, g, b, a;
    };
    T elements[4];
    METAL_SWIZZLES_XYZW(x)
    METAL_SWIZZLES_XYZW(y)
    METAL_SWIZZLES_XYZW(z)
    METAL_SWIZZLES_XYZW(w)
    METAL_2(r, g) METAL_2(g, b) METAL_2(b, a) METAL_3(r, g, b) METAL_3(b, g, r) METAL_4(r, g, b, a) METAL_4(b, g, r, a)
  };
  __components() = default;
  constexpr __components(T x, T y, T z, T w) : x(x), y(y), z(z), w(w) {}
  __components(const __components&) = default;
};

template <class T, int N>
struct vec : __components<T, N> {
  using base = __components<T, N>;
  using element = T;

  vec() = default;
  vec(const vec&) = default;
  constexpr vec& operator=(const vec& other) {
    for (int i = 0; i < N; ++i) (*this)[i] = other[i];
    return *this;
  }
  template <class A, class = enable_if_t<is_arithmetic_v<A> && is_constructible_v<T, A>>>
  constexpr vec(A all) : vec(T(all), filled{}) {}
  template <class U, class = enable_if_t<!is_same_v<U, T>>>
  explicit constexpr vec(const vec<U, N>& other) : vec(T(0), filled{}) {
    for (int i = 0; i < N; ++i) (*this)[i] = T(other[i]);
  }
  template <class A, class B, class... Cs,
            class = enable_if_t<__parts<A>::count + __parts<B>::count + (0 + ... + __parts<Cs>::count) == N>>
  constexpr vec(const A& a, const B& b, const Cs&... cs) : vec(T(0), filled{}) {
    int at = 0;
    put(at, a);
    put(at, b);
    (put(at, cs), ...);
  }

  constexpr T& operator[](int i) {
    if (!__builtin_is_constant_evaluated()) return this->elements[i];
    if constexpr (N == 4)
      if (i == 3) return this->w;
    if constexpr (N >= 3)
      if (i == 2) return this->z;
    return i == 1 ? this->y : this->x;
  }
  constexpr const T& operator[](int i) const { return const_cast<vec&>(*this)[i]; }

#define METAL_OPERATOR(op)                      \
  template <class B>                            \
  constexpr vec& operator op## = (const B& b) { \
    return *this = *this op b;                  \
  }
  METAL_OPERATOR(+)
  METAL_OPERATOR(-)
  METAL_OPERATOR(*)
  METAL_OPERATOR(/)
  METAL_OPERATOR(%)
  METAL_OPERATOR(&)
  METAL_OPERATOR(|)
  METAL_OPERATOR(^)
  METAL_OPERATOR(<<)
  METAL_OPERATOR(>>)
#undef METAL_OPERATOR

  constexpr vec& operator++() { return *this += vec(T(1)); }
  constexpr vec& operator--() { return *this -= vec(T(1)); }

 private:
  template <class U, int M>
  friend struct vec;
  struct filled {};
  constexpr vec(T all, filled) : vec(all, filled{}, make_count<N>{}) {}
  template <int>
  struct make_count {};
  constexpr vec(T all, filled, make_count<2>) : base(all, all) {}
  constexpr vec(T all, filled, make_count<3>) : base(all, all, all) {}
  constexpr vec(T all, filled, make_count<4>) : base(all, all, all, all) {}
  template <class A>
  constexpr void put(int& at, const A& value) {
    for (int i = 0; i < __parts<A>::count; ++i) (*this)[at++] = T(__parts<A>::at(value, i));
  }
};

// The vector type that an operand stands for: itself, or what a swizzle selects; void for others.
template <class A>
struct __vector_of {
  using type = void;
};
template <class T, int N>
struct __vector_of<vec<T, N>> {
  using type = vec<T, N>;
};
template <class T, int N, int... indices>
struct __vector_of<__swizzle<T, N, indices...>> {
  using type = vec<T, sizeof...(indices)>;
};
template <class A, class B>
using __first_vector = conditional_t<is_void_v<A>, B, A>;
template <class... As>
struct __meeting {
  using type = void;
};
template <class A, class... Rest>
struct __meeting<A, Rest...> {
  using type = __first_vector<typename __vector_of<A>::type, typename __meeting<Rest...>::type>;
};
template <class V, class... As>
struct __if_all_convertible : enable_if<(is_convertible_v<const As&, V> && ...), V> {};
template <class... As>
struct __if_all_convertible<void, As...> {};
// In which the operands of a function meet, at least one of which is a vector: scalars stand for vectors of them.
template <class... As>
using __common_vector = typename __if_all_convertible<typename __meeting<As...>::type, As...>::type;

template <class T>
struct __element_of {
  using type = T;
};
template <class T, int N>
struct __element_of<vec<T, N>> {
  using type = T;
  template <class U>
  using with = vec<U, N>;
  static constexpr int size = N;
};
template <class V>
using __element_t = typename __element_of<V>::type;
template <class V>
using __bools_like = typename __element_of<V>::template with<bool>;

#define METAL_OPERATOR(op)                                                 \
  template <class A, class B, class V = __common_vector<A, B>>             \
  constexpr V operator op(const A& first, const B& second) {               \
    V a(first), b(second);                                                 \
    for (int i = 0; i < V::size; ++i) a[i] = __element_t<V>(a[i] op b[i]); \
    return a;                                                              \
  }
METAL_OPERATOR(+)
METAL_OPERATOR(-)
METAL_OPERATOR(*)
METAL_OPERATOR(/)
METAL_OPERATOR(%)
METAL_OPERATOR(&)
METAL_OPERATOR(|)
METAL_OPERATOR(^)
METAL_OPERATOR(<<)
METAL_OPERATOR(>>)
#undef METAL_OPERATOR

#define METAL_OPERATOR(op)                                                 \
  template <class A, class B, class V = __common_vector<A, B>>             \
  constexpr __bools_like<V> operator op(const A& first, const B& second) { \
    V a(first), b(second);                                                 \
    __bools_like<V> result(false);                                         \
    for (int i = 0; i < V::size; ++i) result[i] = a[i] op b[i];            \
    return result;                                                         \
  }
METAL_OPERATOR(==)
METAL_OPERATOR(!=)
METAL_OPERATOR(<)
METAL_OPERATOR(>)
METAL_OPERATOR(<=)
METAL_OPERATOR(>=)
METAL_OPERATOR(&&)
METAL_OPERATOR(||)
#undef METAL_OPERATOR

#define METAL_OPERATOR(op, Result)                                              \
  template <class A, class V = __common_vector<A>>                              \
  constexpr Result operator op(const A& operand) {                              \
    V a(operand);                                                               \
    Result result(false);                                                       \
    for (int i = 0; i < V::size; ++i) result[i] = __element_t<Result>(op a[i]); \
    return result;                                                              \
  }
METAL_OPERATOR(-, V)
METAL_OPERATOR(+, V)
METAL_OPERATOR(~, V)
METAL_OPERATOR(!, __bools_like<V>)
#undef METAL_OPERATOR

// A vector with the alignment of its elements.
template <class T, int N>
struct packed_vec {
  T elements[N];
  packed_vec() = default;
  constexpr packed_vec(const vec<T, N>& value) {
    for (int i = 0; i < N; ++i) elements[i] = value[i];
  }
  template <class... As, class = enable_if_t<(sizeof...(As) > 1)>>
  constexpr packed_vec(As... values) : packed_vec(vec<T, N>(values...)) {}
  constexpr operator vec<T, N>() const {
    vec<T, N> value(T(0));
    for (int i = 0; i < N; ++i) value[i] = elements[i];
    return value;
  }
  constexpr T& operator[](int i) { return elements[i]; }
  constexpr const T& operator[](int i) const { return elements[i]; }
};

template <class T>
inline constexpr bool is_vector_v = false;
template <class T, int N>
inline constexpr bool is_vector_v<vec<T, N>> = true;
template <class T>
struct is_vector : bool_constant<is_vector_v<T>> {};
template <class T>
struct make_scalar {
  using type = T;
};
template <class T, int N>
struct make_scalar<vec<T, N>> {
  using type = T;
};
template <class T>
using make_scalar_t = typename make_scalar<T>::type;

}  // namespace metal

using metal::vec;

#define METAL_NAMES(T)                           \
  typedef metal::vec<T, 2> T##2;                 \
  typedef metal::vec<T, 3> T##3;                 \
  typedef metal::vec<T, 4> T##4;                 \
  typedef metal::packed_vec<T, 2> packed_##T##2; \
  typedef metal::packed_vec<T, 3> packed_##T##3; \
  typedef metal::packed_vec<T, 4> packed_##T##4; \
  namespace metal {                              \
  using ::T##2;                                  \
  using ::T##3;                                  \
  using ::T##4;                                  \
  }
METAL_NAMES(bool)
METAL_NAMES(char)
METAL_NAMES(uchar)
METAL_NAMES(short)
METAL_NAMES(ushort)
METAL_NAMES(int)
METAL_NAMES(uint)
METAL_NAMES(long)
METAL_NAMES(ulong)
METAL_NAMES(half)
METAL_NAMES(bfloat)
METAL_NAMES(float)
#undef METAL_NAMES
namespace metal {
using ::bfloat;
using ::half;
using ::uchar;
using ::uint;
using ::ulong;
using ::ushort;
}  // namespace metal
