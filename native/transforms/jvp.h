// Forward mode: tangents of outputs from tangents of inputs.
#pragma once

#include <vector>

#include "graph/graph.h"

namespace funcnn {

// Tangents of `outputs`, null where zero, from those of `inputs` (null: zero). `id` is that of the inputs' trace.
Arrays push_forward(Span inputs, Span outputs, Span tangents, TraceId id);

// The closed graph (inputs, tangents of the inputs marked in `moving`) -> (outputs, tangents of the outputs that can be
// other than zero, which `moved` then marks).
Graph jvp_graph(const Graph& graph, const std::vector<bool>& moving, std::vector<bool>& moved);

// The jvp of a primitive from its vjp: the transpose of the transpose.
Arrays jvp_by_transposition(const Primitive& primitive, Span inputs, Span tangents, Span outputs);

}  // namespace funcnn
