// Trigonometric functions of float32, computed in float64.
#include "backends/cpu/simd/angle.h"

namespace funcnn::cpu::simd {
namespace {

struct Sin {
  static FUNCNN_INLINE float apply(float x) {
    float s = float(sin_of(reduce_angle(x)));
    return x == 0.0f ? x : s;
  }
  static float libm(float x) { return float(std::sin(double(x))); }
};
struct Cos {
  static FUNCNN_INLINE float apply(float x) { return float(cos_of(reduce_angle(x))); }
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
    for (int64_t i = 0; i < count; ++i) usual &= int32_t(std::fabs(x[i]) <= kLargeAngle);
    if (usual) {
      for (int64_t i = 0; i < count; ++i) o[i] = Op::apply(x[i]);
    } else {
      for (int64_t i = 0; i < count; ++i) o[i] = std::fabs(x[i]) <= kLargeAngle ? Op::apply(x[i]) : Op::libm(x[i]);
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
