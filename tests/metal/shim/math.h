// <metal_math>, <metal_common>, <metal_limits>, <metal_geometric> for float, half, bfloat and their vectors.
#pragma once

namespace metal {

template <class T>
struct numeric_limits;

#define METAL_LIMITS(T, least, most)                                                 \
  template <>                                                                        \
  struct numeric_limits<T> {                                                         \
    static constexpr bool is_specialized = true, is_integer = true, is_exact = true; \
    static constexpr bool is_signed = T(least) < T(0), has_infinity = false;         \
    static constexpr int digits = sizeof(T) * 8 - is_signed;                         \
    static constexpr T min() { return least; }                                       \
    static constexpr T max() { return most; }                                        \
    static constexpr T lowest() { return least; }                                    \
    static constexpr T epsilon() { return 0; }                                       \
    static constexpr T infinity() { return 0; }                                      \
    static constexpr T quiet_NaN() { return 0; }                                     \
  };
METAL_LIMITS(bool, false, true)
METAL_LIMITS(char, -128, 127)
METAL_LIMITS(int8_t, -128, 127)
METAL_LIMITS(uchar, 0, 255)
METAL_LIMITS(short, -32768, 32767)
METAL_LIMITS(ushort, 0, 65535)
METAL_LIMITS(int, -2147483647 - 1, 2147483647)
METAL_LIMITS(uint, 0, 4294967295u)
METAL_LIMITS(long, -9223372036854775807l - 1, 9223372036854775807l)
METAL_LIMITS(ulong, 0, 18446744073709551615ul)
#undef METAL_LIMITS

#define METAL_LIMITS(T, Bits, mantissa, least, most, step, infinite, nan)              \
  template <>                                                                          \
  struct numeric_limits<T> {                                                           \
    static constexpr bool is_specialized = true, is_integer = false, is_exact = false; \
    static constexpr bool is_signed = true, has_infinity = true;                       \
    static constexpr int digits = mantissa;                                            \
    static constexpr T min() { return as_type<T>(Bits(least)); }                       \
    static constexpr T max() { return as_type<T>(Bits(most)); }                        \
    static constexpr T lowest() { return -max(); }                                     \
    static constexpr T denorm_min() { return as_type<T>(Bits(1)); }                    \
    static constexpr T epsilon() { return as_type<T>(Bits(step)); }                    \
    static constexpr T infinity() { return as_type<T>(Bits(infinite)); }               \
    static constexpr T quiet_NaN() { return as_type<T>(Bits(nan)); }                   \
  };
METAL_LIMITS(float, uint, 24, 0x00800000, 0x7f7fffff, 0x34000000, 0x7f800000, 0x7fc00000)
METAL_LIMITS(half, ushort, 11, 0x0400, 0x7bff, 0x1400, 0x7c00, 0x7e00)
METAL_LIMITS(bfloat, ushort, 8, 0x0080, 0x7f7f, 0x3c00, 0x7f80, 0x7fc0)
#undef METAL_LIMITS

// The functions themselves, for float.
namespace __on_float {
#define METAL_BUILTIN1(name) \
  inline float name(float x) { return __builtin_##name##f(x); }
METAL_BUILTIN1(acos)
METAL_BUILTIN1(acosh)
METAL_BUILTIN1(asin)
METAL_BUILTIN1(asinh)
METAL_BUILTIN1(atan)
METAL_BUILTIN1(atanh)
METAL_BUILTIN1(ceil)
METAL_BUILTIN1(cos)
METAL_BUILTIN1(cosh)
METAL_BUILTIN1(exp)
METAL_BUILTIN1(exp2)
METAL_BUILTIN1(fabs)
METAL_BUILTIN1(floor)
METAL_BUILTIN1(log)
METAL_BUILTIN1(log10)
METAL_BUILTIN1(log2)
METAL_BUILTIN1(rint)
METAL_BUILTIN1(round)
METAL_BUILTIN1(sin)
METAL_BUILTIN1(sinh)
METAL_BUILTIN1(sqrt)
METAL_BUILTIN1(tan)
METAL_BUILTIN1(tanh)
METAL_BUILTIN1(trunc)
#undef METAL_BUILTIN1
inline float exp10(float x) { return float(__builtin_pow(double(10), double(x))); }
inline float rsqrt(float x) { return 1.0f / __builtin_sqrtf(x); }
inline float sinpi(float x) { return float(__builtin_sin(3.14159265358979323846 * __builtin_fmod(double(x), 2.0))); }
inline float cospi(float x) { return float(__builtin_cos(3.14159265358979323846 * __builtin_fmod(double(x), 2.0))); }
inline float tanpi(float x) { return sinpi(x) / cospi(x); }
inline float fract(float x) { return __builtin_fminf(x - __builtin_floorf(x), 0x1.fffffep-1f); }
inline float saturate(float x) { return __builtin_fminf(__builtin_fmaxf(x, 0.0f), 1.0f); }
inline float sign(float x) { return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x == 0.0f ? x : 0.0f; }

#define METAL_BUILTIN2(name) \
  inline float name(float x, float y) { return __builtin_##name##f(x, y); }
METAL_BUILTIN2(atan2)
METAL_BUILTIN2(copysign)
METAL_BUILTIN2(fdim)
METAL_BUILTIN2(fmax)
METAL_BUILTIN2(fmin)
METAL_BUILTIN2(fmod)
METAL_BUILTIN2(nextafter)
METAL_BUILTIN2(pow)
#undef METAL_BUILTIN2
inline float powr(float x, float y) { return __builtin_powf(x, y); }
inline float step(float edge, float x) { return x < edge ? 0.0f : 1.0f; }
inline float divide(float x, float y) { return x / y; }
inline float max(float x, float y) { return __builtin_fmaxf(x, y); }
inline float min(float x, float y) { return __builtin_fminf(x, y); }
inline float abs(float x) { return __builtin_fabsf(x); }

inline float fma(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
inline float mad(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
inline float mix(float x, float y, float a) { return x + (y - x) * a; }
inline float clamp(float x, float low, float high) { return min(max(x, low), high); }
inline float max3(float x, float y, float z) { return max(max(x, y), z); }
inline float min3(float x, float y, float z) { return min(min(x, y), z); }
inline float median3(float x, float y, float z) { return max(min(x, y), min(max(x, y), z)); }
inline float smoothstep(float low, float high, float x) {
  float t = saturate((x - low) / (high - low));
  return t * t * (3.0f - 2.0f * t);
}
}  // namespace __on_float

// Each for float, half, bfloat and vectors of them; fast:: and precise:: are the same here.
template <class T>
using __if_small = enable_if_t<__is_one_of_v<T, half, bfloat>, T>;

template <class V>
using __if_reals = enable_if_t<is_floating_point_v<__element_t<V>>, V>;

#define METAL_FAST_AND_PRECISE(name) \
  namespace fast {                   \
  using metal::name;                 \
  }                                  \
  namespace precise {                \
  using metal::name;                 \
  }
#define METAL_FUNCTION1(name)                                \
  inline float name(float x) { return __on_float::name(x); } \
  template <class T>                                         \
  __if_small<T> name(T x) {                                  \
    return T(__on_float::name(float(x)));                    \
  }                                                          \
  template <class A, class V = __common_vector<A>>           \
  __if_reals<V> name(const A& first) {                       \
    V x(first);                                              \
    for (int i = 0; i < V::size; ++i) x[i] = name(x[i]);     \
    return x;                                                \
  }                                                          \
  METAL_FAST_AND_PRECISE(name)
#define METAL_FUNCTION2(name)                                            \
  inline float name(float x, float y) { return __on_float::name(x, y); } \
  template <class T>                                                     \
  __if_small<T> name(T x, T y) {                                         \
    return T(__on_float::name(float(x), float(y)));                      \
  }                                                                      \
  template <class A, class B, class V = __common_vector<A, B>>           \
  __if_reals<V> name(const A& first, const B& second) {                  \
    V x(first), y(second);                                               \
    for (int i = 0; i < V::size; ++i) x[i] = name(x[i], y[i]);           \
    return x;                                                            \
  }                                                                      \
  METAL_FAST_AND_PRECISE(name)
#define METAL_FUNCTION3(name)                                                        \
  inline float name(float x, float y, float z) { return __on_float::name(x, y, z); } \
  template <class T>                                                                 \
  __if_small<T> name(T x, T y, T z) {                                                \
    return T(__on_float::name(float(x), float(y), float(z)));                        \
  }                                                                                  \
  template <class A, class B, class C, class V = __common_vector<A, B, C>>           \
  __if_reals<V> name(const A& first, const B& second, const C& third) {              \
    V x(first), y(second), z(third);                                                 \
    for (int i = 0; i < V::size; ++i) x[i] = name(x[i], y[i], z[i]);                 \
    return x;                                                                        \
  }                                                                                  \
  METAL_FAST_AND_PRECISE(name)
METAL_FUNCTION1(abs)
METAL_FUNCTION1(acos)
METAL_FUNCTION1(acosh)
METAL_FUNCTION1(asin)
METAL_FUNCTION1(asinh)
METAL_FUNCTION1(atan)
METAL_FUNCTION1(atanh)
METAL_FUNCTION1(ceil)
METAL_FUNCTION1(cos)
METAL_FUNCTION1(cosh)
METAL_FUNCTION1(cospi)
METAL_FUNCTION1(exp)
METAL_FUNCTION1(exp10)
METAL_FUNCTION1(exp2)
METAL_FUNCTION1(fabs)
METAL_FUNCTION1(floor)
METAL_FUNCTION1(fract)
METAL_FUNCTION1(log)
METAL_FUNCTION1(log10)
METAL_FUNCTION1(log2)
METAL_FUNCTION1(rint)
METAL_FUNCTION1(round)
METAL_FUNCTION1(rsqrt)
METAL_FUNCTION1(saturate)
METAL_FUNCTION1(sign)
METAL_FUNCTION1(sin)
METAL_FUNCTION1(sinh)
METAL_FUNCTION1(sinpi)
METAL_FUNCTION1(sqrt)
METAL_FUNCTION1(tan)
METAL_FUNCTION1(tanh)
METAL_FUNCTION1(tanpi)
METAL_FUNCTION1(trunc)
METAL_FUNCTION2(atan2)
METAL_FUNCTION2(copysign)
METAL_FUNCTION2(divide)
METAL_FUNCTION2(fdim)
METAL_FUNCTION2(fmax)
METAL_FUNCTION2(fmin)
METAL_FUNCTION2(fmod)
METAL_FUNCTION2(max)
METAL_FUNCTION2(min)
METAL_FUNCTION2(nextafter)
METAL_FUNCTION2(pow)
METAL_FUNCTION2(powr)
METAL_FUNCTION2(step)
METAL_FUNCTION3(clamp)
METAL_FUNCTION3(fma)
METAL_FUNCTION3(mad)
METAL_FUNCTION3(max3)
METAL_FUNCTION3(median3)
METAL_FUNCTION3(min3)
METAL_FUNCTION3(mix)
METAL_FUNCTION3(smoothstep)
#undef METAL_FUNCTION1
#undef METAL_FUNCTION2
#undef METAL_FUNCTION3

// Integers given to a function of reals; int beside float.
#define METAL_OF_INTEGER(name)                              \
  template <class I, class = enable_if_t<is_integral_v<I>>> \
  float name(I x) {                                         \
    return __on_float::name(float(x));                      \
  }
METAL_OF_INTEGER(exp)
METAL_OF_INTEGER(log)
METAL_OF_INTEGER(sqrt)
METAL_OF_INTEGER(rsqrt)
METAL_OF_INTEGER(ceil)
METAL_OF_INTEGER(floor)
#undef METAL_OF_INTEGER

// Tests of floats.
#define METAL_TEST(name, expression)                            \
  inline bool name(float x) { return expression; }              \
  template <class T>                                            \
  enable_if_t<__is_one_of_v<T, half, bfloat>, bool> name(T x) { \
    return name(float(x));                                      \
  }                                                             \
  template <class A, class V = __common_vector<A>>              \
  __bools_like<__if_reals<V>> name(const A& first) {            \
    V x(first);                                                 \
    __bools_like<V> result(false);                              \
    for (int i = 0; i < V::size; ++i) result[i] = name(x[i]);   \
    return result;                                              \
  }
METAL_TEST(isnan, __builtin_isnan(x))
METAL_TEST(isinf, __builtin_isinf(x))
METAL_TEST(isfinite, __builtin_isfinite(x))
METAL_TEST(signbit, as_type<uint>(x) >> 31)
#undef METAL_TEST
inline bool isnormal(float x) { return __builtin_isnormal(x); }
inline bool isnormal(half x) { return (x.bits & 0x7c00) && (x.bits & 0x7c00) != 0x7c00; }
inline bool isnormal(bfloat x) { return __builtin_isnormal(float(x)); }
inline bool isunordered(float x, float y) { return __builtin_isnan(x) || __builtin_isnan(y); }
inline bool isordered(float x, float y) { return !isunordered(x, y); }

inline float ldexp(float x, int exponent) { return __builtin_ldexpf(x, exponent); }
inline half ldexp(half x, int exponent) { return half(__builtin_ldexpf(float(x), exponent)); }
inline bfloat ldexp(bfloat x, int exponent) { return bfloat(__builtin_ldexpf(float(x), exponent)); }
inline float frexp(float x, int& exponent) { return __builtin_frexpf(x, &exponent); }
inline float modf(float x, float& whole) { return __builtin_modff(x, &whole); }
inline int ilogb(float x) { return __builtin_ilogbf(x); }
inline float sincos(float x, float& cosine) {
  cosine = __builtin_cosf(x);
  return __builtin_sinf(x);
}

// Geometry.
template <class A, class B, class V = __common_vector<A, B>>
__element_t<V> dot(const A& first, const B& second) {
  V a(first), b(second);
  auto sum = a[0] * b[0];
  for (int i = 1; i < V::size; ++i) sum += a[i] * b[i];
  return __element_t<V>(sum);
}
template <class A, class B, class V = __common_vector<A, B>>
V cross(const A& first, const B& second) {
  V a(first), b(second);
  return V(a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]);
}
template <class A, class V = __common_vector<A>>
__element_t<V> length_squared(const A& a) {
  return dot(a, a);
}
template <class A, class V = __common_vector<A>>
__element_t<V> length(const A& a) {
  return sqrt(dot(a, a));
}
template <class A, class B, class V = __common_vector<A, B>>
__element_t<V> distance(const A& a, const B& b) {
  return length(V(a) - V(b));
}
template <class A, class V = __common_vector<A>>
V normalize(const A& a) {
  return V(a) * rsqrt(dot(a, a));
}

}  // namespace metal
