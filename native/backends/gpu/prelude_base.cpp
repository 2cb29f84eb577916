// Types, qualifiers, barriers, conversions and operations of a warp.
#include "backends/gpu/prelude_texts.h"

namespace funcnn::gpu {

const std::string_view kMetalBase = R"text(#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;
#pragma clang fp contract(off)
typedef uchar u8; typedef char i8; typedef ushort u16; typedef short i16; typedef uint u32; typedef int i32;
typedef ulong u64; typedef long i64; typedef half f16; typedef bfloat bf16; typedef float f32;
struct alignas(8) c64 { f32 re, im; };
#define DEVICE device
#define SHARED threadgroup
#define SHARED_POINTER threadgroup
#define FUNCTION inline
#define CONSTANT constant
#define UNROLL _Pragma("clang loop unroll(full)")
#define BARRIER() threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device)
#define WARP_BARRIER() simdgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device)
template <class To, class From> FUNCTION To bits(From x) { return as_type<To>(x); }
template <class T, class R> FUNCTION void store(threadgroup T* y, u32 i, R v) { y[i] = T(v); }
#define WARP_MOVE(name, move) \
  template <class T> FUNCTION T name(T x, u32 by) { return move(x, ushort(by)); } \
  FUNCTION bool name(bool x, u32 by) { return move(ushort(x), ushort(by)) != 0; } \
  FUNCTION u64 name(u64 x, u32 by) { \
    return u64(move(u32(x), ushort(by))) | u64(move(u32(x >> 32), ushort(by))) << 32; \
  } \
  FUNCTION i64 name(i64 x, u32 by) { return i64(name(u64(x), by)); } \
  FUNCTION c64 name(c64 x, u32 by) { return {move(x.re, ushort(by)), move(x.im, ushort(by))}; }
WARP_MOVE(warp_shuffle, simd_shuffle)
WARP_MOVE(warp_shuffle_up, simd_shuffle_up)
WARP_MOVE(warp_shuffle_down, simd_shuffle_down)
WARP_MOVE(warp_shuffle_xor, simd_shuffle_xor)
FUNCTION u32 multiply_high(u32 a, u32 b) { return mulhi(a, b); }
FUNCTION f32 rounded_f16(f32 x) { return f32(f16(x)); }
FUNCTION f32 rounded_bf16(f32 x) { return f32(bf16(x)); }
FUNCTION bool warp_any(bool x) { return simd_any(x); }
FUNCTION bool warp_all(bool x) { return simd_all(x); }
FUNCTION u32 warp_ballot(bool x) { return u32(simd_vote::vote_t(simd_ballot(x))); }
)text";

// Half precision is a type of ours, so that no header is needed; below sm_80 bfloat16 is rounded by hand. The chip's
// conversions make every NaN a positive one: f16(x), bf16(x) and f32(x) keep its sign, to_float, from_float and load,
// which products read their operands with, leave it as it comes.
const std::string_view kCudaBase = R"text(typedef unsigned char u8; typedef signed char i8; typedef unsigned short u16;
typedef short i16; typedef unsigned int u32; typedef int i32; typedef unsigned long long u64; typedef long long i64;
typedef float f32; typedef double f64;
struct alignas(8) c64 { f32 re, im; };
#define DEVICE
#define SHARED __shared__
#define SHARED_POINTER
#define FUNCTION __device__ __forceinline__
#define CONSTANT static __device__ const
#define UNROLL _Pragma("unroll")
#define BARRIER() __syncthreads()
#define WARP_BARRIER() __syncwarp()
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
template <class To, class From> FUNCTION To bits(From x) {
  static_assert(sizeof(To) == sizeof(From), "bits: types of one size");
  To y;
  memcpy(&y, &x, sizeof(To));
  return y;
}
FUNCTION u16 with_sign_of(f32 x, u16 half) { return u16((half & 0x7fffu) | (__float_as_uint(x) >> 16 & 0x8000u)); }
FUNCTION u16 f16_bits(f32 x) {
  u16 half;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(x));
  return half;
}
FUNCTION f32 f16_value(u16 half) {
  f32 x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(half));
  return x;
}
struct f16 {
  u16 bits;
  f16() = default;
  explicit __device__ f16(f32 x) : bits(with_sign_of(x, f16_bits(x))) {}
  __device__ operator f32() const {
    return __uint_as_float((__float_as_uint(f16_value(bits)) & 0x7fffffffu) | (bits & 0x8000u) << 16);
  }
};
FUNCTION u16 bf16_bits(f32 x) {
  u16 half;
#if __CUDA_ARCH__ >= 800
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(half) : "f"(x));
#else
  u32 b = __float_as_uint(x);
  half = x != x ? 0x7fff : u16((b + 0x7fffu + ((b >> 16) & 1u)) >> 16);
#endif
  return half;
}
struct bf16 {
  u16 bits;
  bf16() = default;
  explicit __device__ bf16(f32 x) : bits(with_sign_of(x, bf16_bits(x))) {}
  __device__ operator f32() const { return __uint_as_float(u32(bits) << 16); }
};
FUNCTION f32 with_sign_of(f32 x, u32 rounded) {
  return __uint_as_float((rounded & 0x7fffffffu) | (__float_as_uint(x) & 0x80000000u));
}
FUNCTION f32 rounded_f16(f32 x) { return with_sign_of(x, __float_as_uint(f16_value(f16_bits(x)))); }
#if __CUDA_ARCH__ >= 800
// The first of two that are converted goes where the upper half of a float32 is.
FUNCTION f32 rounded_bf16(f32 x) {
  u32 y;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(x), "f"(0.0f));
  return with_sign_of(x, y);
}
FUNCTION u32 with_signs_of(f32 low, f32 high, u32 both) {
  u32 signs = __byte_perm(__float_as_uint(low), __float_as_uint(high), 0x7632);
  return (both & 0x7fff7fffu) | (signs & 0x80008000u);
}
FUNCTION u32 two_of(f16, f32 low, f32 high) {
  u32 both;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return with_signs_of(low, high, both);
}
FUNCTION u32 two_of(bf16, f32 low, f32 high) {
  u32 both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return with_signs_of(low, high, both);
}
#else
FUNCTION f32 rounded_bf16(f32 x) { return f32(bf16(x)); }
template <class T> FUNCTION u32 two_of(T, f32 low, f32 high) { return T(low).bits | u32(T(high).bits) << 16; }
#endif
// Rounded to float32 with an odd last bit where it is not exact, a float64 goes to half precision without a second tie.
FUNCTION f32 odd_float(f64 x) {
  const f32 near = __double2float_rz(x);
  return f64(near) == x ? near : __uint_as_float(__float_as_uint(near) | 1u);
}
FUNCTION f32 rounded_f16(f64 x) { return rounded_f16(odd_float(x)); }
FUNCTION f32 rounded_bf16(f64 x) { return rounded_bf16(odd_float(x)); }
#define WARP_MOVE(name, move) \
  template <class T> FUNCTION T name(T x, u32 by) { return T(move(0xffffffffu, x, by)); } \
  FUNCTION c64 name(c64 x, u32 by) { return {move(0xffffffffu, x.re, by), move(0xffffffffu, x.im, by)}; }
WARP_MOVE(warp_shuffle, __shfl_sync)
WARP_MOVE(warp_shuffle_up, __shfl_up_sync)
WARP_MOVE(warp_shuffle_down, __shfl_down_sync)
WARP_MOVE(warp_shuffle_xor, __shfl_xor_sync)
FUNCTION u32 multiply_high(u32 a, u32 b) { return __umulhi(a, b); }
FUNCTION bool warp_any(bool x) { return __any_sync(0xffffffffu, x); }
FUNCTION bool warp_all(bool x) { return __all_sync(0xffffffffu, x); }
FUNCTION u32 warp_ballot(bool x) { return __ballot_sync(0xffffffffu, x); }
)text";

// Reductions of a warp go by a butterfly, whose order is the same in both languages.
const std::string_view kCommonBase = R"text(
template <class T> FUNCTION T from_float(f32 x) { return T(x); }
#ifdef __CUDACC__
FUNCTION f32 to_float(f16 x) { return f16_value(x.bits); }
template <> FUNCTION f16 from_float<f16>(f32 x) { return bits<f16>(f16_bits(x)); }
template <> FUNCTION bf16 from_float<bf16>(f32 x) { return bits<bf16>(bf16_bits(x)); }
#else
FUNCTION f32 to_float(f16 x) { return f32(x); }
#endif
FUNCTION f32 to_float(bf16 x) { return f32(x); }
template <class T> FUNCTION T load(T x) { return x; }
FUNCTION f32 load(f16 x) { return to_float(x); }
FUNCTION f32 load(bf16 x) { return to_float(x); }
template <class T> FUNCTION T element(T x) { return x; }
FUNCTION f32 element(f16 x) { return f32(x); }
FUNCTION f32 element(bf16 x) { return f32(x); }
template <class T, class I, class R> FUNCTION void store(DEVICE T* y, I i, R v) { y[i] = T(v); }
template <class T, int N> struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack { T v[N]; };
template <int N, class T> FUNCTION Pack<T, N> load_pack(DEVICE const T* x) { return *(DEVICE const Pack<T, N>*)x; }
template <class T, int N> FUNCTION void store_pack(DEVICE T* y, Pack<T, N> v) { *(DEVICE Pack<T, N>*)y = v; }
// Element e of a pack as registers hold it. The upper one of two bf16 lies where a float32 has it.
template <class T, int N> FUNCTION auto element_of(Pack<T, N> x, u32 e) { return element(x.v[e]); }
#ifdef __CUDACC__
template <int N> FUNCTION f32 element_of(Pack<bf16, N> x, u32 e) {
  const u32 two = bits<Pack<u32, N / 2>>(x).v[e / 2];
  return __uint_as_float(e % 2 ? two & 0xffff0000u : two << 16);
}
// The same pack, of which the compiler does not know that: what follows from it is computed again instead of being kept.
template <class T, int N> FUNCTION Pack<T, N> again(Pack<T, N> x) {
  typedef Pack<u32, sizeof(T) * N / 4> Words;
  Words y = bits<Words>(x);
  UNROLL for (u32 e = 0; e < sizeof(T) * N / 4; ++e) asm("" : "+r"(y.v[e]));
  return bits<Pack<T, N>>(y);
}
#else
template <class T, int N> FUNCTION Pack<T, N> again(Pack<T, N> x) { return x; }
#endif
// A pack in half precision.
template <class T, int N> FUNCTION Pack<T, N> narrowed(Pack<f32, N> x) {
#ifdef __CUDACC__
  Pack<u32, N / 2> y;
  UNROLL for (u32 e = 0; e < N / 2; ++e) y.v[e] = two_of(T{}, x.v[2 * e], x.v[2 * e + 1]);
  return bits<Pack<T, N>>(y);
#else
  Pack<T, N> y;
  UNROLL for (u32 e = 0; e < N; ++e) y.v[e] = T(x.v[e]);
  return y;
#endif
}
template <class T> struct Wrapping { typedef u32 type; };
template <> struct Wrapping<u64> { typedef u64 type; };
template <> struct Wrapping<i64> { typedef u64 type; };
#define WRAPPING(name, op, of_bool) \
  template <class T> FUNCTION T name(T a, T b) { typedef typename Wrapping<T>::type U; return T(U(a) op U(b)); } \
  FUNCTION f32 name(f32 a, f32 b) { return a op b; } \
  FUNCTION bool name(bool a, bool b) { return a of_bool b; }
WRAPPING(plus, +, ||)
WRAPPING(minus, -, !=)
WRAPPING(times, *, &&)
template <class T> FUNCTION bool is_nan(T x) { return x != x; }
template <class T> FUNCTION T larger(T a, T b) { return a != a || a >= b ? a : b; }
template <class T> FUNCTION T smaller(T a, T b) { return a != a || a <= b ? a : b; }
// Of a reduction, in which nobody minds which of two zeros is taken.
#if defined(__CUDACC__) && __CUDA_ARCH__ >= 800
FUNCTION f32 largest(f32 a, f32 b) {
  f32 y;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
}
FUNCTION f32 smallest(f32 a, f32 b) {
  f32 y;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
}
#else
FUNCTION f32 largest(f32 a, f32 b) { return larger(a, b); }
FUNCTION f32 smallest(f32 a, f32 b) { return smaller(a, b); }
#endif
#ifdef __CUDACC__
FUNCTION f64 plus(f64 a, f64 b) { return a + b; }
FUNCTION f64 minus(f64 a, f64 b) { return a - b; }
FUNCTION f64 times(f64 a, f64 b) { return a * b; }
#endif
#define WARP_REDUCTION(name, of_two) \
  template <class T> FUNCTION T name(T x) { \
    for (u32 m = 16; m; m /= 2) x = of_two(x, warp_shuffle_xor(x, m)); \
    return x; \
  }
WARP_REDUCTION(warp_sum, plus)
WARP_REDUCTION(warp_product, times)
WARP_REDUCTION(warp_max, larger)
WARP_REDUCTION(warp_min, smaller)
)text";

}  // namespace funcnn::gpu
