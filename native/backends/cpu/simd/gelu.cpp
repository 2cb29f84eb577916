// GELU and its derivative in float32, exact to a few ulp also in the tails. With a = |x|, M(a) the quotient of the tail
// of the normal distribution and its density phi,
//   gelu(x) = x - a phi M for x > 0 and -a phi M for x < 0; gelu'(x) = 1 - phi (M - a) and phi (M - a).
// phi is exp(-a^2 / 2) from a square in two parts, as fdlibm's erfc has it; what multiplies it is smooth and rational.
#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

// From here on both tails are zero in float32.
constexpr float kEnd = 14.65f;

// exp(-a^2 / 2) = (1 + less) * 2^(shifted - kShift).
struct Scaled {
  float less, shifted;
};
FUNCNN_INLINE Scaled density(float a) {
  float high = from_bits(int32_t(uint32_t(bits(a)) & 0xfffff000u));
  float square = high * high;
  float shifted = fma(square, -0.721347520444481703680f, kShift);
  float n = shifted - kShift;
  float v = fma(a - high, a + high, fma(n, 2.0f * kLn2Low, fma(n, 2.0f * kLn2High, square)));
  constexpr float c[] = {-0.5f, 0.124999866f, -0.0208331514f, 0.002605065f, -0.000261509558f, 2.04411044e-05f};
  return {v * polynomial(v, c), shifted};
}

// The quotients are P / (sqrt(2 pi) a P + N) and P / (sqrt(2 pi) P - N): for large a the rounding of P cancels.
constexpr Wide kRoot2Pi = 2.50662827463100050242f;

struct Gelu {
  static FUNCNN_INLINE float apply(float x) {
    float a = at_most(std::fabs(x), kEnd);
    Scaled e = density(a);
    constexpr Wide p[] = {0.456870079f, 0.197163984f, 0.0453721285f, 0.00482984213f};  // P without its 0.5
    constexpr Wide n[] = {0.458311319f, 0.114794537f, 0.012051628f, 1.2036744e-06f};   // N without its 1
    Wide y = a, top = fma(y * y, polynomial(y, p), 0.5f * y);                          // a P
    Wide bottom = 1.0f + fma(kRoot2Pi, top, y * polynomial(y, n));
    float tail = scale(float(fma(top, Wide(e.less), top) / bottom), e.shifted);
    return x < 0.0f ? -tail : x - tail;
  }
};

struct GeluDerivative {
  static FUNCNN_INLINE float apply(float x) {
    float a = at_most(std::fabs(x), kEnd);
    Scaled e = density(a);
    // (M(a) - a) / (root - a), where the root is that of the numerator.
    constexpr Wide p[] = {0.665077984f, 0.776287854f, 0.39995864f, 0.104535945f, 0.0118770646f};
    constexpr Wide n[] = {0.667103291f, 0.513039649f, 0.16728285f, 0.0223803818f};
    Wide y = a, common = polynomial(y, p);
    Wide top = fma(Wide(0.75179154f) - y, common, Wide(-1.211444945855772e-08f) * common);  // the root in two parts
    float tail = scale(float(fma(top, Wide(e.less), top) / fma(kRoot2Pi, common, -polynomial(y, n))), e.shifted);
    float r = x < 0.0f ? tail : 1.0f - tail;
    return x != x ? x : r;
  }
};

}  // namespace

namespace FUNCNN_ISA {

void add_gelu(Table& t) {
  add_unary_one<Gelu, float>(t, Opcode::gelu);
  add_unary_one<GeluDerivative, float>(t, Opcode::gelu_derivative);
}

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
