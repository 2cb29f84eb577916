// Functions of integers, and what becomes them; quotients and remainders that round towards minus infinity.
#include "backends/gpu/scalar_texts.h"

namespace funcnn::gpu {

const std::vector<std::string_view> kIntegerFunctions = {
    R"text(// Out of range the nearest bound; NaN becomes 0.
template <class T, class F>
FUNCTION T to_integer(F x) {
  const bool is_signed = T(-1) < T(0);
  const u32 digits = sizeof(T) * 8 - (is_signed ? 1 : 0);
  const F end = F(bits<f32>((127u + digits) << 23));
  const u64 largest = digits == 64 ? ~u64(0) : (u64(1) << digits) - 1;
  if (x >= end) return T(largest);
  if (x <= (is_signed ? -end : F(0))) return is_signed ? T(largest + 1) : T(0);
  return x == x ? T(x) : T(0);
}
)text",
    R"text(template <class T>
FUNCTION T abs_int(T a) {
  return a < T(0) ? minus(T(0), a) : a;
}
)text",
    R"text(template <class T>
FUNCTION T sign_int(T a) {
  return T((a > T(0)) - (a < T(0)));
}
)text",
    R"text(// Towards minus infinity; by zero 0.
template <class T>
FUNCTION T floor_divide_int(T a, T b) {
  if (b == T(0)) return T(0);
  if (T(-1) < T(0) && b == T(-1)) return minus(T(0), a);
  return T(T(a / b) - T(T(a % b) != T(0) && (a < T(0)) != (b < T(0))));
}
)text",
    R"text(template <class T>
FUNCTION T remainder_int(T a, T b) {
  if (b == T(0) || (T(-1) < T(0) && b == T(-1))) return T(0);
  T r = T(a % b);
  return r != T(0) && (r < T(0)) != (b < T(0)) ? T(r + b) : r;
}
)text",
    R"text(template <class T>
FUNCTION T power_int(T a, T b) {
  if (b < T(0)) return T(0);
  T result = T(1);
  for (u64 e = u64(b); e; e >>= 1) {
    if (e & 1) result = times(result, a);
    a = times(a, a);
  }
  return result;
}
)text",
    R"text(// By the width or more, and by negative counts, every bit moves out.
template <class T>
FUNCTION T shifted_left(T a, T b) {
  typedef typename Wrapping<T>::type U;
  return b < T(0) || u64(b) >= sizeof(T) * 8 ? T(0) : T(U(a) << u32(b));
}
)text",
    R"text(template <class T>
FUNCTION T shifted_right(T a, T b) {
  return b < T(0) || u64(b) >= sizeof(T) * 8 ? (a < T(0) ? T(-1) : T(0)) : T(a >> u32(b));
}
)text",
    R"text(// The remainder of a truncated quotient, in steps of 22 bits of it.
FUNCTION f32 fmod_exact(f32 a, f32 b) {
  f32 x = fabs(a), y = fabs(b);
  if (!(x < INFINITY) || !(y > 0.0f)) return NAN;
  while (x >= y) {
    f32 t = y, q = x / t;
    while (q >= 4194304.0f) {
      t *= q >= 1.8446744e19f ? 1.8446744e19f : 2.0f;
      q = x / t;
    }
    f32 r = fma(-trunc(q), t, x);
    x = r < 0.0f ? r + t : r;
  }
  return copysign(x, a);
}
)text",
    R"text(FUNCTION f32 floor_divide_f32(f32 a, f32 b) {
  if (b == 0.0f || fabs(a) == INFINITY || fabs(b) == INFINITY) return a / b;
  f32 whole = floor(a / b);
  if (whole != whole) return whole;
  if (fabs(whole) < 4194304.0f) {
    // A quotient that was rounded up to the next integer leaves a remainder on the wrong side.
    f32 rest = fma(-whole, b, a);
    whole -= rest != 0.0f && (rest < 0.0f) != (b < 0.0f) ? 1.0f : 0.0f;
    return whole == 0.0f ? copysign(0.0f, bits<f32>(bits<u32>(a) ^ bits<u32>(b))) : whole;
  }
  f32 r = fmod_exact(a, b);
  two q = two_sum(a, -r) / two{b, 0.0f};
  if (r != 0.0f && (r < 0.0f) != (b < 0.0f)) q = q - 1.0f;
  return fabs(whole) == INFINITY ? whole : rint(q.hi);
}
)text",
    R"text(FUNCTION f32 remainder_f32(f32 a, f32 b) {
  f32 r = fmod_exact(a, b);
  if (r == 0.0f) return copysign(0.0f, b);
  return (r < 0.0f) != (b < 0.0f) ? r + b : r;
}
)text",
};

}  // namespace funcnn::gpu
