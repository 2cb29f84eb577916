// Trigonometric functions of float32, computed in float64.
#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

// Up to here the reduction below is exact enough; beyond, libm takes over.
constexpr float kLarge = 1.0e6f;

struct Angle {
  double r;          // in [-pi / 4, pi / 4]
  int64_t quadrant;  // only the low bits count
};
FUNCNN_INLINE Angle reduce_angle(float x) {
  double y = double(x);
  double shifted = fma(y, 0.636619772367581343076, kShiftD);
  double n = shifted - kShiftD;
  // pi / 2 in two parts; the first has 33 bits, so that its product with n is exact.
  double r = fma(n, -6.07710050650619224932e-11, fma(n, -1.57079632673412561417, y));
  return {r, bits(shifted)};
}
FUNCNN_INLINE double sin_kernel(double r) {
  double z = r * r;
  constexpr double c[] = {-1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800};
  return fma(r * z, polynomial(z, c), r);
}
FUNCNN_INLINE double cos_kernel(double r) {
  double z = r * r;
  constexpr double c[] = {1.0, -0.5, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800};
  return polynomial(z, c);
}
FUNCNN_INLINE double negate_if(double x, uint64_t odd) { return from_bits(int64_t(uint64_t(bits(x)) ^ (odd << 63))); }

struct Sin {
  static FUNCNN_INLINE float apply(float x) {
    Angle a = reduce_angle(x);
    double r = (a.quadrant & 1) != 0 ? cos_kernel(a.r) : sin_kernel(a.r);
    float s = float(negate_if(r, (uint64_t(a.quadrant) >> 1) & 1));
    return x == 0.0f ? x : s;
  }
  static float libm(float x) { return float(std::sin(double(x))); }
};
struct Cos {
  static FUNCNN_INLINE float apply(float x) {
    Angle a = reduce_angle(x);
    double r = (a.quadrant & 1) != 0 ? sin_kernel(a.r) : cos_kernel(a.r);
    return float(negate_if(r, (uint64_t(a.quadrant + 1) >> 1) & 1));
  }
  static float libm(float x) { return float(std::cos(double(x))); }
};
struct Tan {
  static FUNCNN_INLINE float apply(float x) {
    Angle a = reduce_angle(x);
    double s = sin_kernel(a.r), c = cos_kernel(a.r);
    bool odd = (a.quadrant & 1) != 0;
    float t = float((odd ? -c : s) / (odd ? s : c));
    return x == 0.0f ? x : t;
  }
  static float libm(float x) { return float(std::tan(double(x))); }
};

// Blocks with a huge argument (or infinity, or NaN) go through libm. The test comes before any output is written,
// because the output may be the input.
template <class Op>
void periodic_loop(void* out, const void* a, const void*, const void*, int64_t n) {
  constexpr int64_t kBlock = 256;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    int64_t count = n - begin < kBlock ? n - begin : kBlock;
    float* FUNCNN_RESTRICT o = static_cast<float*>(out) + begin;
    const float* FUNCNN_RESTRICT x = static_cast<const float*>(a) + begin;
    int32_t usual = 1;
    for (int64_t i = 0; i < count; ++i) usual &= int32_t(std::fabs(x[i]) <= kLarge);
    if (usual) {
      for (int64_t i = 0; i < count; ++i) o[i] = Op::apply(x[i]);
    } else {
      for (int64_t i = 0; i < count; ++i) o[i] = std::fabs(x[i]) <= kLarge ? Op::apply(x[i]) : Op::libm(x[i]);
    }
  }
}

// clang-format off
struct Arctan { static FUNCNN_INLINE float apply(float x) { return float(atan2_inner(double(x), 1.0)); } };
struct Arcsin { static FUNCNN_INLINE float apply(float x) {
  double y = double(x);
  return float(atan2_inner(y, std::sqrt((1.0 - y) * (1.0 + y)))); } };
struct Arccos { static FUNCNN_INLINE float apply(float x) {
  double y = double(x);
  return float(atan2_inner(std::sqrt((1.0 - y) * (1.0 + y)), y)); } };
struct Arctan2 { static FUNCNN_INLINE float apply(float y, float x) { return float(atan2_inner(double(y), double(x))); } };
// clang-format on

}  // namespace

namespace FUNCNN_ISA {

void add_trigonometric(Table& t) {
  constexpr int f = int(Dtype::float32);
  t.compute[int(Opcode::sin)][f][0] = periodic_loop<Sin>;
  t.compute[int(Opcode::cos)][f][0] = periodic_loop<Cos>;
  t.compute[int(Opcode::tan)][f][0] = periodic_loop<Tan>;
  add_unary_one<Arcsin, float>(t, Opcode::arcsin);
  add_unary_one<Arccos, float>(t, Opcode::arccos);
  add_unary_one<Arctan, float>(t, Opcode::arctan);
  add_binary_one<Arctan2, float>(t, Opcode::arctan2);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
