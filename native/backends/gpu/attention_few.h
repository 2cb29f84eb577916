// Attention of few queries over many keys, as when text is generated: keys are split among warps.
#pragma once

#include "backends/gpu/attention_text.h"

namespace funcnn::gpu {

// Whether the queries of the heads that share keys are few enough.
bool is_few(const AttentionProblem& problem);
// Operands of the problem are q, k, v, mask, sinks, result, most and sums.
std::unique_ptr<Kernel> make_few_attention(Machine& machine, const AttentionProblem& problem, bool sinks);

}  // namespace funcnn::gpu
