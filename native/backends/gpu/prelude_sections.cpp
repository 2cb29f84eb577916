// What only some kernels ask for: complex numbers, random words, atomics.
#include "backends/gpu/prelude_texts.h"

namespace funcnn::gpu {

// Products and quotients as in C's Annex G, which std::complex follows: infinite operands give infinite results.
const std::string_view kComplex = R"text(
FUNCTION c64 operator+(c64 a, c64 b) { return {a.re + b.re, a.im + b.im}; }
FUNCTION c64 operator-(c64 a, c64 b) { return {a.re - b.re, a.im - b.im}; }
FUNCTION c64 operator-(c64 a) { return {-a.re, -a.im}; }
FUNCTION bool operator==(c64 a, c64 b) { return a.re == b.re && a.im == b.im; }
FUNCTION bool operator!=(c64 a, c64 b) { return !(a == b); }
FUNCTION c64 conj(c64 a) { return {a.re, -a.im}; }
FUNCTION c64 scaled(c64 a, f32 by) { return {a.re * by, a.im * by}; }
FUNCTION bool is_nan(c64 a) { return a.re != a.re || a.im != a.im; }
FUNCTION bool infinite(c64 a) { return fabs(a.re) == INFINITY || fabs(a.im) == INFINITY; }
// Infinite parts become 1 and finite ones 0, with their signs.
FUNCTION c64 boxed(c64 a) {
  return {copysign(fabs(a.re) == INFINITY ? 1.0f : 0.0f, a.re), copysign(fabs(a.im) == INFINITY ? 1.0f : 0.0f, a.im)};
}
FUNCTION c64 without_nan(c64 a) {
  return {a.re != a.re ? copysign(0.0f, a.re) : a.re, a.im != a.im ? copysign(0.0f, a.im) : a.im};
}
FUNCTION c64 operator*(c64 a, c64 b) {
  f32 ac = a.re * b.re, bd = a.im * b.im, ad = a.re * b.im, bc = a.im * b.re;
  c64 r = {ac - bd, ad + bc};
  if (r.re == r.re || r.im == r.im) return r;
  bool again = infinite(a) || infinite(b);
  if (infinite(a)) {
    a = boxed(a);
    b = without_nan(b);
  }
  if (infinite(b)) {
    b = boxed(b);
    a = without_nan(a);
  }
  if (!again && (fabs(ac) == INFINITY || fabs(bd) == INFINITY || fabs(ad) == INFINITY || fabs(bc) == INFINITY)) {
    a = without_nan(a);
    b = without_nan(b);
    again = true;
  }
  if (!again) return r;
  return {INFINITY * (a.re * b.re - a.im * b.im), INFINITY * (a.re * b.im + a.im * b.re)};
}
FUNCTION f32 power_of_two(i32 n) { return bits<f32>(u32(n + 127) << 23); }
// a b + c d; what rounding it lost.
FUNCTION c64 products_and_rest(f32 a, f32 b, f32 c, f32 d) {
  f32 x = a * b, y = c * d, sum = x + y, other = sum - x;
  return {sum, fma(a, b, -x) + fma(c, d, -y) + ((x - (sum - other)) + (y - other))};
}
FUNCTION f32 corrected_quotient(c64 a, c64 b, f32 inverse) {
  f32 quotient = a.re * inverse;
  if (!(fabs(quotient) < INFINITY)) return quotient;
  return fma(fma(-quotient, b.re, a.re) + fma(-quotient, b.im, a.im), inverse, quotient);
}
FUNCTION c64 operator/(c64 a, c64 b) {
  f32 size = larger(fabs(b.re), fabs(b.im)), above = larger(fabs(a.re), fabs(a.im));
  // Both are scaled by powers of two, so that no product overflows or vanishes that counts.
  i32 up = size > 0.0f && size < INFINITY ? 127 - i32(bits<u32>(size) >> 23) : 0;
  up = up > 126 ? 126 : up < -126 ? -126 : up;
  i32 above_up = above > 0x1p60f && above < INFINITY ? -64 : above < 0x1p-60f ? 64 : 0;
  f32 scale = power_of_two(up), above_scale = power_of_two(above_up);
  f32 c = b.re * scale, d = b.im * scale, p = a.re * above_scale, q = a.im * above_scale;
  c64 square = products_and_rest(c, c, d, d);
  f32 inverse = 1.0f / square.re;
  // In two halves: the first may not round to a subnormal number what the second makes large.
  up -= above_up;
  f32 half_scale = power_of_two(up / 2), other_half = power_of_two(up - up / 2);
  c64 r = {corrected_quotient(products_and_rest(p, c, q, d), square, inverse) * half_scale * other_half,
           corrected_quotient(products_and_rest(q, c, -p, d), square, inverse) * half_scale * other_half};
  if (r.re == r.re || r.im == r.im) return r;
  if (size == 0.0f && !(a.re != a.re && a.im != a.im)) {
    f32 infinity = copysign(INFINITY, b.re);
    return {infinity * a.re, infinity * a.im};
  }
  if (infinite(a) && fabs(b.re) < INFINITY && fabs(b.im) < INFINITY) {
    a = boxed(a);
    return {INFINITY * (a.re * b.re + a.im * b.im), INFINITY * (a.im * b.re - a.re * b.im)};
  }
  if (infinite(b) && fabs(a.re) < INFINITY && fabs(a.im) < INFINITY) {
    b = boxed(b);
    return {0.0f * (a.re * b.re + a.im * b.im), 0.0f * (a.im * b.re - a.re * b.im)};
  }
  return r;
}
FUNCTION c64 plus(c64 a, c64 b) { return a + b; }
FUNCTION c64 minus(c64 a, c64 b) { return a - b; }
FUNCTION c64 times(c64 a, c64 b) { return a * b; }
// The order of complex numbers is lexicographic.
FUNCTION bool operator<(c64 a, c64 b) { return a.re != b.re ? a.re < b.re : a.im < b.im; }
FUNCTION c64 larger(c64 a, c64 b) { return is_nan(a) ? a : is_nan(b) || a < b ? b : a; }
FUNCTION c64 smaller(c64 a, c64 b) { return is_nan(a) ? a : is_nan(b) || b < a ? b : a; }
)text";

const std::string_view kThreefry = R"text(
FUNCTION u32 rotated(u32 x, u32 by) { return (x << by) | (x >> (32 - by)); }
FUNCTION uint2 threefry(u32 key0, u32 key1, u32 x, u32 y) {
#define ROUND(r) x += y; y = rotated(y, r) ^ x;
#define FOUR(a, b, c, d, add_x, add_y) ROUND(a) ROUND(b) ROUND(c) ROUND(d) x += add_x; y += add_y;
  u32 key2 = key0 ^ key1 ^ 0x1bd11bdau;
  x += key0;
  y += key1;
  FOUR(13, 15, 26, 6, key1, key2 + 1u)
  FOUR(17, 29, 16, 24, key2, key0 + 2u)
  FOUR(13, 15, 26, 6, key0, key1 + 3u)
  FOUR(17, 29, 16, 24, key1, key2 + 4u)
  FOUR(13, 15, 26, 6, key2, key0 + 5u)
#undef FOUR
#undef ROUND
  uint2 words;
  words.x = x;
  words.y = y;
  return words;
}
)text";

const std::string_view kMetalAtomics = R"text(
#define ATOMIC_IN(name, operation, space, type, atomic) \
  FUNCTION type name(space type* x, type v) { return operation((space atomic*)x, v, memory_order_relaxed); }
#define ATOMIC(name, operation) \
  ATOMIC_IN(name, operation, device, u32, atomic_uint) ATOMIC_IN(name, operation, device, i32, atomic_int) \
  ATOMIC_IN(name, operation, threadgroup, u32, atomic_uint) ATOMIC_IN(name, operation, threadgroup, i32, atomic_int)
ATOMIC(atomic_add, atomic_fetch_add_explicit)
ATOMIC(atomic_max, atomic_fetch_max_explicit)
ATOMIC(atomic_min, atomic_fetch_min_explicit)
ATOMIC(atomic_and, atomic_fetch_and_explicit)
ATOMIC(atomic_or, atomic_fetch_or_explicit)
ATOMIC(atomic_xor, atomic_fetch_xor_explicit)
ATOMIC(atomic_exchange, atomic_exchange_explicit)
#define SWAP_IF(space) \
  FUNCTION bool atomic_swap_if(space u32* x, u32 expected, u32 v) { \
    u32 found = expected; \
    while (!atomic_compare_exchange_weak_explicit((space atomic_uint*)x, &found, v, memory_order_relaxed, \
                                                  memory_order_relaxed)) \
      if (found != expected) return false; \
    return true; \
  }
SWAP_IF(device)
SWAP_IF(threadgroup)
)text";

const std::string_view kCudaAtomics = R"text(
#define ATOMIC(name, operation) \
  FUNCTION u32 name(u32* x, u32 v) { return operation(x, v); } \
  FUNCTION i32 name(i32* x, i32 v) { return operation(x, v); }
ATOMIC(atomic_add, atomicAdd)
ATOMIC(atomic_max, atomicMax)
ATOMIC(atomic_min, atomicMin)
ATOMIC(atomic_and, atomicAnd)
ATOMIC(atomic_or, atomicOr)
ATOMIC(atomic_xor, atomicXor)
ATOMIC(atomic_exchange, atomicExch)
FUNCTION bool atomic_swap_if(u32* x, u32 expected, u32 v) { return atomicCAS(x, expected, v) == expected; }
)text";

}  // namespace funcnn::gpu
