// Attention and its derivatives as graphs of cuDNN.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "backends/cuda/cudnn.h"
#include "base/dtype.h"

namespace funcnn::cuda {

// What a run is told the places of. Of queries there are the largest scores, the sums of the exponentials of the scores
// less those, the logarithms of the sums of the exponentials of scores, and the sums of the products of result and
// cotangent, which the library computes into memory that it is given: (batch, head, query), float32, without gaps.
enum class AttentionTensor : int64_t {
  q,
  k,
  v,
  result,
  cotangent,
  dq,
  dk,
  dv,
  most,
  sums,
  logarithms,
  rows,
  scale,            // float
  minus_infinity,   // float
  one,              // float
  further_queries,  // int32: how many more keys there are than queries
};
inline constexpr size_t kAttentionMatrices = 8;  // the first of them, of float16 or bfloat16
// What plans call them.
inline int64_t number_of(AttentionTensor tensor) { return int64_t(tensor) + 1; }

// Everything a plan depends on. The scale is not among it.
struct AttentionShape {
  // From one batch, head, place to the next; features lie side by side.
  using Steps = std::array<int64_t, 3>;

  Dtype dtype;
  bool gradient, causal;
  int64_t batches, heads, key_heads, queries, keys, depth, values;
  std::array<Steps, kAttentionMatrices> steps;
  auto operator<=>(const AttentionShape&) const = default;
};

// The plan for it on a stream, of which the last ones asked for are kept; null: the library is not there or refuses,
// which is remembered as well. A derivative has the same bits at each run.
std::shared_ptr<const DnnPlan> find_attention_plan(Stream& stream, const AttentionShape& shape);

}  // namespace funcnn::cuda
