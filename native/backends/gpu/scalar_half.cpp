// Functions whose results float16 or bfloat16 will hold: relative errors below 3e-5, a tenth of what rounding to
// float16 takes, with limits, order, symmetry and NaN as those of float32 have them. The exponential and the reciprocal
// are the chip's.
#include "backends/gpu/scalar_texts.h"

namespace funcnn::gpu {

const std::vector<std::string_view> kHalfFunctions = {
    R"text(// exp2_up: of x >= 0; inverse_half: of results that are not tiny.
#ifdef __CUDACC__
FUNCTION f32 exp2_half(f32 x) {
  f32 y;
  asm("ex2.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
FUNCTION f32 exp2_up(f32 x) {
  f32 y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
FUNCTION f32 inverse_half(f32 x) {
  f32 y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
#else
FUNCTION f32 exp2_half(f32 x) { return exp2(x); }
FUNCTION f32 exp2_up(f32 x) { return exp2(x); }
FUNCTION f32 inverse_half(f32 x) { return 1.0f / x; }
#endif
)text",
    R"text(FUNCTION f32 exp_half(f32 x) { return exp2_half(x * 1.44269504088896341f); }
)text",
    R"text(FUNCTION f32 sigmoid_half(f32 x) {
  bool tail = x < -80.0f;
  f32 e = exp_half(tail ? x : -x);
  return tail ? e : inverse_half(1.0f + e);
}
)text",
    R"text(// Close to 0 a polynomial, elsewhere 1 - 2 / (exp(2 a) + 1).
FUNCTION f32 tanh_half(f32 x) {
  f32 a = fabs(x);
  f32 far = fma(-2.0f, inverse_half(exp2_up(a * 2.88539008177792681472f) + 1.0f), 1.0f);
  f32 near = fma(a * (a * a), -0.333333333f, a);
  return copysign(a < 0.05f ? near : far, x);
}
)text",
    R"text(// As gelu_f32 and its derivative.
FUNCTION f32 gelu_half(f32 x) {
  f32 a = fabs(x);
  a = a < 14.65f ? a : 14.65f;
  f32 e = exp2_half(a * a * -0.721347520444481703680f);
  f32 top = fma(a * a, polynomial(a, 0.456870079f, 0.197163984f, 0.0453721285f, 0.00482984213f), 0.5f * a);
  f32 bottom = 1.0f + fma(2.50662827463100050242f, top,
                          a * polynomial(a, 0.458311319f, 0.114794537f, 0.012051628f, 1.2036744e-06f));
  f32 tail = e * (top * inverse_half(bottom));
  return x < 0.0f ? -tail : x - tail;
}
)text",
    R"text(FUNCTION f32 gelu_derivative_half(f32 x) {
  f32 a = fabs(x);
  a = a < 14.65f ? a : 14.65f;
  f32 e = exp2_half(a * a * -0.721347520444481703680f);
  f32 common = polynomial(a, 0.665077984f, 0.776287854f, 0.39995864f, 0.104535945f, 0.0118770646f);
  f32 top = fma(0.75179154f - a, common, -1.211444945855772e-08f * common);
  f32 bottom =
      fma(2.50662827463100050242f, common, -polynomial(a, 0.667103291f, 0.513039649f, 0.16728285f, 0.0223803818f));
  f32 tail = e * (top * inverse_half(bottom));
  return x != x ? x : x < 0.0f ? tail : 1.0f - tail;
}
)text",
};

}  // namespace funcnn::gpu
