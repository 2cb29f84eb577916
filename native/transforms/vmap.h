// Mapping over a batch axis: every primitive replaced by its batched self.
#pragma once

#include <vector>

#include "graph/graph.h"
#include "graph/primitive.h"

namespace funcnn {

// The outputs with arrays that have one more axis in front, of length `size`, in place of the placeholders `inputs`.
// Outputs that do not depend on the inputs come back unbatched.
Batched map_batch(Span inputs, Span outputs, Span values, int64_t size, TraceId id);

// The closed graph mapped over axis 0 of the inputs marked in `batched`. `mapped` comes back marking the outputs that
// have the axis; those it marks on entry (if it is not empty) are given it.
Graph batch_graph(const Graph& graph, const std::vector<bool>& batched, int64_t size, std::vector<bool>& mapped);

}  // namespace funcnn
