// Quotients and remainders of float32 that round towards minus infinity. Both are exact before they are rounded, so the
// bits are those of simd/division.cpp, which leaves what does not fit a step to scalar functions.
#pragma once

#include <cmath>

#include "backends/cpu/jit/pair.h"
#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::jit {
namespace {

struct FloatDivision {
  Float32 a, b;
  WidePair x, y;  // magnitudes

  FloatDivision(Float32 dividend, Float32 divisor)
      : a(dividend), b(divisor), x(fabs(widen(dividend))), y(fabs(widen(divisor))) {}

  struct Step {
    WidePair whole, rest;
  };
  // rest = x - whole * y in [0, y), exact for quotients below 2^29: that of two numbers of 24 bits may have been
  // rounded up to the next integer, not down.
  static Step step(WidePair x, WidePair y) {
    WidePair q = floor(x / y), r = fma(-q, y, x);
    const Pair<Mask> over = r < 0.0;
    return {select(over, q - 1.0, q), select(over, r + y, r)};
  }
  // Where a step is not enough: large quotients, NaN, infinities and divisors that are zero.
  Mask is_rare() const {
    const Float32 quotient = narrow(x / y);
    return !((quotient < 268435456.0f) & (fabs(b) < simd::kInf));
  }
  // Of any quotient, which is below 2^278: a step for each 29 bits of it.
  WidePair rest() const {
    WidePair r = x;
    for (int bits = 261; bits >= 0; bits -= 29) r = step(r, y * std::ldexp(1.0, bits)).rest;
    return r;
  }
  Mask signs_differ() const { return is_negative(from_bits(bits(a) ^ bits(b))); }
  Mask has_infinity() const { return (fabs(a) == simd::kInf) | (fabs(b) == simd::kInf); }
};

struct FloatFloorDivide {
  static Float32 apply(Float32 a, Float32 b) {
    // In float32: a quotient that was rounded is in the right interval or has reached the end of it, and then the rest
    // is on the wrong side.
    const Float32 whole = floor(a / b), over = fnma(whole, b, a);
    const Mask past = (over != 0.0f) & ((over < 0.0f) != (b < 0.0f));
    const Float32 next = select(past, whole - 1.0f, whole);
    const Float32 zero = simd::with_sign(Float32(0.0f), from_bits(bits(a) ^ bits(b)));
    const Float32 near = select(next == 0.0f, zero, next);
    const Mask rare = !((fabs(whole) < 4194304.0f) & (over == over));
    const FloatDivision d(a, b);
    // As the scalar function: the quotient without its rest is an integer but for its rounding.
    const WidePair rest = d.rest(), q = (d.x - rest) / d.y, away = q + 1.0;
    const Float32 r = select(d.signs_differ(), negated(nearest(select(rest == 0.0, q, away))), narrow(nearest(q)));
    const Float32 far = select((b == 0.0f) | d.has_infinity(), a / b, r);
    return seldom(rare, far, near);
  }

 private:
  static Float32 negated(WidePair x) { return -narrow(x); }
  static WidePair nearest(WidePair x) {
    const WidePair whole = floor(x);
    return select(x - whole > 0.5, whole + 1.0, whole);
  }
};

struct FloatRemainder {
  static Float32 apply(Float32 a, Float32 b) {
    const FloatDivision d(a, b);
    const Float32 near = with_signs(d, narrow(FloatDivision::step(d.x, d.y).rest));
    const Float32 far = with_signs(d, select(fabs(b) == simd::kInf, fabs(a), narrow(d.rest())));
    return seldom(d.is_rare(), select(fabs(a) == simd::kInf, Float32(simd::kNan), far), near);
  }

 private:
  static Float32 with_signs(const FloatDivision& d, Float32 rest) {
    const Float32 r = select(is_negative(d.a), -rest, rest);
    const Float32 other = select(d.signs_differ(), r + d.b, r);
    return select(rest == 0.0f, simd::with_sign(Float32(0.0f), d.b), other);
  }
};

}  // namespace
}  // namespace funcnn::cpu::jit
