// Powers of float32, computed in float64.
#include "backends/cpu/simd/math.h"

namespace funcnn::cpu::simd {
namespace {

struct Power {
  static FUNCNN_INLINE float apply(float x, float y) {
    double a = std::fabs(double(x)), e = double(y);
    // Above 2^24 every float is an even integer; the bound keeps `nearest` exact.
    double c = clamp(e, -33554432.0, 33554432.0);
    bool integral = nearest(c) == c;
    bool odd = integral & (nearest(c * 0.5) * 2.0 != c);
    double l = log_inner(a) * 1.44269504088896340736;
    l = a == 0.0 ? -kInfD : l;
    l = a == kInfD ? kInfD : l;
    l = a != a ? kNanD : l;
    double r = exp2_inner(clamp(e * l, -300.0, 300.0));
    bool negative = bits(x) < 0;
    r = (x < 0.0f) & !integral & (a != kInfD) ? kNanD : r;
    r = negative & odd ? -r : r;
    r = (e == 0.0) | (x == 1.0f) ? 1.0 : r;
    r = (a == 1.0) & ((e == kInfD) | (e == -kInfD)) ? 1.0 : r;
    return float(r);
  }
};

}  // namespace

namespace FUNCNN_ISA {

void add_power(Table& t) { add_binary_one<Power, float>(t, Opcode::power); }

}  // namespace FUNCNN_ISA
}  // namespace funcnn::cpu::simd
