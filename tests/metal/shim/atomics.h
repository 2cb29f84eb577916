// <metal_atomic>.
#pragma once

namespace metal {

template <class T>
struct atomic {
  T value;
};
using atomic_int = atomic<int>;
using atomic_uint = atomic<uint>;
using atomic_bool = atomic<bool>;
using atomic_float = atomic<float>;
using atomic_ulong = atomic<ulong>;

// An argument that takes its type from elsewhere.
template <class T>
struct __given {
  using type = T;
};
template <class T>
using __given_t = typename __given<T>::type;

// The checker hears of it, and hooks of the compiler do not: the builtins are applied through an integer of that size.
template <class T>
struct __word_of {
  using type = conditional_t<sizeof(T) == 1, uchar, conditional_t<sizeof(T) == 4, uint, ulong>>;
};
template <class T>
using __word_t = typename __word_of<T>::type;
template <class T>
__word_t<T>* __atomic_word(const volatile atomic<T>* object, bool reads = true) {
  software_metal_atomic((const void*)&object->value, sizeof(T), reads);
  return (__word_t<T>*)&object->value;
}

template <class T>
__attribute__((no_sanitize("thread"))) T atomic_load_explicit(const volatile atomic<T>* object, memory_order) {
  return as_type<T>(__atomic_load_n(__atomic_word(object), __ATOMIC_RELAXED));
}
template <class T>
__attribute__((no_sanitize("thread"))) void atomic_store_explicit(volatile atomic<T>* object, __given_t<T> value,
                                                                  memory_order) {
  __atomic_store_n(__atomic_word(object, false), as_type<__word_t<T>>(value), __ATOMIC_RELAXED);
}
template <class T>
__attribute__((no_sanitize("thread"))) T atomic_exchange_explicit(volatile atomic<T>* object, __given_t<T> value,
                                                                  memory_order) {
  return as_type<T>(__atomic_exchange_n(__atomic_word(object), as_type<__word_t<T>>(value), __ATOMIC_RELAXED));
}
template <class T>
__attribute__((no_sanitize("thread"))) bool atomic_compare_exchange_weak_explicit(volatile atomic<T>* object,
                                                                                  T* expected, __given_t<T> desired,
                                                                                  memory_order, memory_order) {
  __word_t<T> old = as_type<__word_t<T>>(*expected);
  bool done = __atomic_compare_exchange_n(__atomic_word(object), &old, as_type<__word_t<T>>(desired), false,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  if (!done) *expected = as_type<T>(old);
  return done;
}

#define METAL_FETCH(name, condition, expression)                                                                    \
  template <class T>                                                                                                \
  __attribute__((no_sanitize("thread"))) enable_if_t<condition, T> name(volatile atomic<T>* object, __given_t<T> b, \
                                                                        memory_order) {                             \
    auto* word = __atomic_word(object);                                                                             \
    __word_t<T> old = __atomic_load_n(word, __ATOMIC_RELAXED);                                                      \
    for (;;) {                                                                                                      \
      T a = as_type<T>(old);                                                                                        \
      if (__atomic_compare_exchange_n(word, &old, as_type<__word_t<T>>(T(expression)), false, __ATOMIC_RELAXED,     \
                                      __ATOMIC_RELAXED))                                                            \
        return a;                                                                                                   \
    }                                                                                                               \
  }
METAL_FETCH(atomic_fetch_add_explicit, true, a + b)
METAL_FETCH(atomic_fetch_sub_explicit, true, a - b)
METAL_FETCH(atomic_fetch_min_explicit, is_integral_v<T>, b < a ? b : a)
METAL_FETCH(atomic_fetch_max_explicit, is_integral_v<T>, a < b ? b : a)
METAL_FETCH(atomic_fetch_and_explicit, is_integral_v<T>, a& b)
METAL_FETCH(atomic_fetch_or_explicit, is_integral_v<T>, a | b)
METAL_FETCH(atomic_fetch_xor_explicit, is_integral_v<T>, a ^ b)
#undef METAL_FETCH
template <class T>
enable_if_t<is_same_v<T, ulong>> atomic_min_explicit(volatile atomic<T>* object, __given_t<T> b, memory_order order) {
  auto old = atomic_load_explicit(object, order);
  while (b < old && !atomic_compare_exchange_weak_explicit(object, &old, b, order, order)) {
  }
}
template <class T>
enable_if_t<is_same_v<T, ulong>> atomic_max_explicit(volatile atomic<T>* object, __given_t<T> b, memory_order order) {
  auto old = atomic_load_explicit(object, order);
  while (old < b && !atomic_compare_exchange_weak_explicit(object, &old, b, order, order)) {
  }
}

}  // namespace metal

using metal::atomic_bool;
using metal::atomic_float;
using metal::atomic_int;
using metal::atomic_uint;
using metal::atomic_ulong;
