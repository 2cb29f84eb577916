// <metal_type_traits>, metal::array, as_type.
#pragma once

namespace metal {

template <class T, T v>
struct integral_constant {
  static constexpr T value = v;
  using value_type = T;
  using type = integral_constant;
  constexpr operator T() const { return v; }
  constexpr T operator()() const { return v; }
};
template <bool v>
using bool_constant = integral_constant<bool, v>;
using true_type = bool_constant<true>;
using false_type = bool_constant<false>;

template <bool condition, class T, class F>
struct conditional {
  using type = T;
};
template <class T, class F>
struct conditional<false, T, F> {
  using type = F;
};
template <bool condition, class T, class F>
using conditional_t = typename conditional<condition, T, F>::type;

#define METAL_REMOVE(name, pattern) \
  template <class T>                \
  struct name {                     \
    using type = T;                 \
  };                                \
  template <class T>                \
  struct name<pattern> {            \
    using type = T;                 \
  };                                \
  template <class T>                \
  using name##_t = typename name<T>::type;
METAL_REMOVE(remove_const, const T)
METAL_REMOVE(remove_volatile, volatile T)
METAL_REMOVE(remove_extent, T[])
#undef METAL_REMOVE
template <class T, size_t N>
struct remove_extent<T[N]> {
  using type = T;
};
template <class T>
struct remove_cv {
  using type = remove_const_t<remove_volatile_t<T>>;
};
template <class T>
using remove_cv_t = typename remove_cv<T>::type;

template <class T>
struct remove_reference {
  using type = T;
};
template <class T>
struct remove_reference<T&> {
  using type = T;
};
template <class T>
struct remove_reference<T&&> {
  using type = T;
};
template <class T>
using remove_reference_t = typename remove_reference<T>::type;

template <class T>
struct remove_pointer {
  using type = T;
};
template <class T>
struct remove_pointer<T*> {
  using type = T;
};
template <class T>
struct remove_pointer<T* const> {
  using type = T;
};
template <class T>
using remove_pointer_t = typename remove_pointer<T>::type;

template <class T>
struct decay {
  using type = remove_cv_t<remove_reference_t<T>>;
};
template <class T>
using decay_t = typename decay<T>::type;
// Address spaces are no part of types here.
template <class T>
using remove_addrspace_t = T;

template <class A, class B>
inline constexpr bool is_same_v = __is_same(A, B);
template <class T, class... Us>
inline constexpr bool __is_one_of_v = (is_same_v<remove_cv_t<T>, Us> || ...);
template <class T>
inline constexpr bool is_floating_point_v = __is_one_of_v<T, float, half, bfloat>;
template <class T>
inline constexpr bool is_integral_v = __is_native_integer<remove_cv_t<T>>;
template <class T>
inline constexpr bool is_arithmetic_v = is_floating_point_v<T> || is_integral_v<T>;
template <class T>
inline constexpr bool is_scalar_v = is_arithmetic_v<T>;
template <class T>
inline constexpr bool is_signed_v = [] {
  if constexpr (is_integral_v<T>)
    return T(-1) < T(0);
  else
    return is_floating_point_v<T>;
}();
template <class T>
inline constexpr bool is_unsigned_v = is_integral_v<T> && !is_signed_v<T>;
template <class T>
inline constexpr bool is_pointer_v = false;
template <class T>
inline constexpr bool is_pointer_v<T*> = true;
template <class T>
inline constexpr bool is_pointer_v<T* const> = true;
template <class T>
inline constexpr bool is_reference_v = false;
template <class T>
inline constexpr bool is_reference_v<T&> = true;
template <class T>
inline constexpr bool is_const_v = __is_const(T);
template <class T>
inline constexpr bool is_void_v = __is_void(T);
template <class T>
inline constexpr bool is_enum_v = __is_enum(T);
template <class T>
inline constexpr bool is_class_v = __is_class(T);
template <class A, class B>
inline constexpr bool is_convertible_v = __is_convertible_to(A, B);
template <class T, class... As>
inline constexpr bool is_constructible_v = __is_constructible(T, As...);
template <class A, class B>
inline constexpr bool is_base_of_v = __is_base_of(A, B);
template <class T>
inline constexpr bool is_trivially_copyable_v = __is_trivially_copyable(T);

#define METAL_TRAIT(name) \
  template <class... Ts>  \
  struct name : bool_constant<name##_v<Ts...>> {};
#define METAL_TRAIT1(name) \
  template <class T>       \
  struct name : bool_constant<name##_v<T>> {};
#define METAL_TRAIT2(name)    \
  template <class A, class B> \
  struct name : bool_constant<name##_v<A, B>> {};
METAL_TRAIT2(is_same)
METAL_TRAIT1(is_floating_point)
METAL_TRAIT1(is_integral)
METAL_TRAIT1(is_arithmetic)
METAL_TRAIT1(is_scalar)
METAL_TRAIT1(is_signed)
METAL_TRAIT1(is_unsigned)
METAL_TRAIT1(is_pointer)
METAL_TRAIT1(is_reference)
METAL_TRAIT1(is_const)
METAL_TRAIT1(is_void)
METAL_TRAIT1(is_enum)
METAL_TRAIT1(is_class)
METAL_TRAIT1(is_trivially_copyable)
METAL_TRAIT2(is_convertible)
METAL_TRAIT2(is_base_of)
#undef METAL_TRAIT
#undef METAL_TRAIT1
#undef METAL_TRAIT2

template <class... Bs>
struct disjunction : bool_constant<(Bs::value || ...)> {};
template <class... Bs>
struct conjunction : bool_constant<(Bs::value && ...)> {};
template <class... Bs>
using _disjunction = disjunction<Bs...>;
template <class... Bs>
using _conjunction = conjunction<Bs...>;
template <class B>
struct negation : bool_constant<!B::value> {};
template <class...>
using void_t = void;

template <class T>
struct make_unsigned {
  using type = T;
};
template <class T>
struct make_signed {
  using type = T;
};
#define METAL_SIGNS(s, u)   \
  template <>               \
  struct make_unsigned<s> { \
    using type = u;         \
  };                        \
  template <>               \
  struct make_signed<u> {   \
    using type = s;         \
  };
METAL_SIGNS(char, uchar)
METAL_SIGNS(short, ushort)
METAL_SIGNS(int, uint)
METAL_SIGNS(long, ulong)
#undef METAL_SIGNS
template <>
struct make_unsigned<signed char> {
  using type = uchar;
};
template <class T>
using make_unsigned_t = typename make_unsigned<T>::type;
template <class T>
using make_signed_t = typename make_signed<T>::type;

template <class T>
remove_reference_t<T>&& declval();
template <class T>
constexpr remove_reference_t<T>&& move(T&& value) {
  return static_cast<remove_reference_t<T>&&>(value);
}
template <class T>
constexpr T&& forward(remove_reference_t<T>& value) {
  return static_cast<T&&>(value);
}
template <class T>
constexpr void swap(T& a, T& b) {
  T old = a;
  a = b;
  b = old;
}

template <class T, size_t N>
struct array {
  T elements[N ? N : 1];
  constexpr T& operator[](size_t i) { return elements[i]; }
  constexpr const T& operator[](size_t i) const { return elements[i]; }
  constexpr size_t size() const { return N; }
  constexpr T* data() { return elements; }
  constexpr const T* data() const { return elements; }
  constexpr T* begin() { return elements; }
  constexpr T* end() { return elements + N; }
  constexpr const T* begin() const { return elements; }
  constexpr const T* end() const { return elements + N; }
};

// A value that all threads agree on.
template <class T>
using uniform = T;
template <class T>
constexpr T make_uniform(T value) {
  return value;
}

}  // namespace metal

template <class T, class U>
constexpr T as_type(U value) {
  static_assert(sizeof(T) == sizeof(U), "as_type: the sizes differ");
  if constexpr (__is_trivially_copyable(T) && __is_trivially_copyable(U)) {
    return __builtin_bit_cast(T, value);
  } else {
    T out{};
    __builtin_memcpy(&out, &value, sizeof(T));
    return out;
  }
}
namespace metal {
using ::as_type;
}
