// Choosing what to compute again so that a step stays within a number of bytes.
#pragma once

#include "transforms/checkpoint.h"

namespace funcnn {

// The outputs of a closed graph, built of checkpointed segments such that the planned peak of its forward and backward
// pass is within the budget of the policy, at as little recomputation as was found. Choices are remembered by
// structure.
Arrays within_budget(const Graph& graph, Span arguments, const CheckpointPolicy& policy);

}  // namespace funcnn
