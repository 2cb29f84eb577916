// Sines and cosines of float64 within 1 ulp, and tangents within 2, for angles up to 10^6; the C library has what it
// takes for larger ones.
#include "backends/cpu/simd/loops.h"
#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

#if defined(FUNCNN_FMA)

constexpr double kLargest = 1.0e6;

// x - n pi / 2 for the nearest n and pi / 2 in three parts: the first difference is exact, and so no cancellation
// leaves less than the digits of a result.
struct Reduced {
  double r, rest;
  uint64_t quadrant;
};
FUNCNN_INLINE Reduced reduce(double x) {
  double shifted = fma(x, 0.636619772367581343076, kShiftD), n = shifted - kShiftD;
  constexpr double first = 1.5707963267948966, second = 6.123233995736766e-17, third = -1.4973849048591698e-33;
  double t = fma(-n, first, x), w = n * second, r = t - w, back = r - t;
  double rest = ((t - (r - back)) - (w + back)) - fma(n, second, -w);
  rest = fma(-n, third, rest);
  return {r, rest, bits(shifted)};
}
FUNCNN_INLINE double sin_of(double r, double rest) {
  double z = r * r;
  constexpr double c[] = {-0.166666666666666321,  0.00833333333332242846,  -0.000198412698298183326,
                          2.75573136950882804e-6, -2.50507585451167869e-8, 1.58968173768133052e-10};
  return r + fma(r * z, polynomial(z, c), rest * fma(z, -0.5, 1.0));
}
FUNCNN_INLINE double cos_of(double r, double rest) {
  double z = r * r, half = 0.5 * z, w = 1.0 - half;
  constexpr double c[] = {0.0416666666666665996,   -0.00138888888888741484, 0.0000248015872894962259,
                          -2.75573143559657466e-7, 2.08757237105716821e-9,  -1.13596678060400723e-11};
  return w + (((1.0 - w) - half) + fma(z * z, polynomial(z, c), -r * rest));
}
FUNCNN_INLINE bool is_odd(uint64_t quadrant) {
  return from_bits((quadrant << 63) | UINT64_C(0x3ff0000000000000)) < 0.0;
}
// A quarter turn more is the sine of the next quadrant.
template <int quarters>
struct Turned {
  static FUNCNN_INLINE double apply(double x) {
    Reduced a = reduce(x);
    uint64_t quadrant = a.quadrant + quarters;
    double s = sin_of(a.r, a.rest), c = cos_of(a.r, a.rest);
    double y = is_odd(quadrant) ? c : s;
    y = from_bits(bits(y) ^ ((quadrant >> 1) << 63));
    return quarters == 0 && x == 0.0 ? x : y;
  }
};
struct Tangent {
  static FUNCNN_INLINE double apply(double x) {
    Reduced a = reduce(x);
    double s = sin_of(a.r, a.rest), c = cos_of(a.r, a.rest);
    bool odd = is_odd(a.quadrant);
    double y = (odd ? -c : s) / (odd ? s : c);
    return x == 0.0 ? x : y;
  }
};

template <class Op>
ComputeFn scalar_entry;  // the one that was there before

template <class Op>
void angle_loop(void* out, const void* a, const void*, const void*, int64_t n) {
  constexpr int64_t kBlock = 128;
  double* o = static_cast<double*>(out);
  const double* x = static_cast<const double*>(a);
  for (int64_t begin = 0; begin < n; begin += kBlock, x += kBlock, o += kBlock) {
    int64_t count = n - begin < kBlock ? n - begin : kBlock;
    double result[kBlock];
    int64_t usual = 1;
    for (int64_t i = 0; i < count; ++i) usual &= int64_t(std::fabs(x[i]) <= kLargest);
    for (int64_t i = 0; i < count; ++i) result[i] = Op::apply(x[i]);
    if (!usual)
      for (int64_t i = 0; i < count; ++i)
        if (!(std::fabs(x[i]) <= kLargest)) scalar_entry<Op>(result + i, x + i, nullptr, nullptr, 1);
    for (int64_t i = 0; i < count; ++i) o[i] = result[i];
  }
}
template <class Op>
void add_of_angle(Table& t, Opcode op) {
  ComputeFn& entry = t.compute[int(op)][int(Dtype::float64)][0];
  scalar_entry<Op> = entry;
  entry = angle_loop<Op>;
}

#endif

}  // namespace

namespace FUNCNN_ISA {

void add_double_trigonometric([[maybe_unused]] Table& t) {
#if defined(FUNCNN_FMA)
  add_of_angle<Turned<0>>(t, Opcode::sin);
  add_of_angle<Turned<1>>(t, Opcode::cos);
  add_of_angle<Tangent>(t, Opcode::tan);
#endif
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
