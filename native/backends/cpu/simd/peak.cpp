#include "backends/cpu/peak.h"

#include "backends/cpu/simd/fma.h"
#include "backends/cpu/simd/of_this_set.h"
#include "base/inline.h"

namespace funcnn::cpu {
namespace {

#if defined(FUNCNN_VECTORS)
using Number = simd::Vector<float>;
constexpr int kLanes = FUNCNN_VECTOR_BYTES / 4;
FUNCNN_INLINE Number repeated(float x) { return simd::repeat(x); }
FUNCNN_INLINE float first(const Number& x) { return x[0]; }
#else
using Number = float;
constexpr int kLanes = 1;
FUNCNN_INLINE Number repeated(float x) { return x; }
FUNCNN_INLINE float first(Number x) { return x; }
#endif

// Enough sums side by side to fill the pipelines of two units of four or five stages, few enough for 16 registers.
constexpr int kSums = 12;

double run(int64_t rounds, float* sink) {
  Number sums[kSums], factor = repeated(1 - *sink * 0x1p-24f), term = repeated(*sink * 0x1p-20f);
  FUNCNN_UNROLL
  for (int s = 0; s < kSums; ++s) sums[s] = repeated(float(s));
  for (int64_t r = 0; r < rounds; ++r) {
    FUNCNN_UNROLL
    for (int s = 0; s < kSums; ++s) sums[s] = simd::fma(sums[s], factor, term);
  }
  FUNCNN_UNROLL
  for (int s = 0; s < kSums; ++s) *sink += first(sums[s]);
  return 2.0 * kLanes * kSums * double(rounds);
}

}  // namespace

extern const PeakTable FUNCNN_OF_THIS_SET(peak_table_);
const PeakTable FUNCNN_OF_THIS_SET(peak_table_) = {run};

}  // namespace funcnn::cpu
