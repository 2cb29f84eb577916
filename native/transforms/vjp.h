// Reverse mode: cotangents of inputs from cotangents of outputs.
#pragma once

#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace funcnn {

// Cotangents of `inputs`, null where zero, from those of `outputs` (null: zero), by one walk back from the outputs.
// `id` is that of the inputs' trace. `values`, if given, says what stands for a node wherever a rule reads its
// value: the way to differentiate a closed graph at recomputed values.
Arrays pull_back(Span inputs, Span outputs, Span cotangents, TraceId id, const NodeMap<Array>* values = nullptr);

// A rule that is to be transposed, for messages. Not every primitive knows the function that it is of.
struct TransposedRule {
  std::string_view mode, arguments, primitive, function;
};
// The same for what a rule made of stand-ins. Where it is linear the result does not depend on their values; where it
// does, that is a ValueError.
Arrays transpose_rule(const TransposedRule& rule, Span stand_ins, Span outputs, Span cotangents, TraceId id);

// The closed graph (inputs, cotangents of outputs) -> cotangents of the inputs marked in `wanted`. Outputs that are not
// floating point have a cotangent too, which is ignored.
Graph vjp_graph(const Graph& graph, const std::vector<bool>& wanted);

// A linear function of arrays, closed once and applied any number of times. It owns the residuals it needs.
class LinearMap {
 public:
  LinearMap() = default;
  // outputs as functions of the placeholders `inputs` of the trace `id`; null outputs are zero.
  LinearMap(Span inputs, Span outputs, std::vector<Aval> out_avals, TraceId id);
  Arrays operator()(Span arguments) const;
  const Graph& graph() const { return graph_; }
  Span captured() const { return captured_; }

 private:
  Graph graph_;
  Arrays captured_;
  std::vector<Aval> out_avals_;
  std::vector<bool> zero_;
};

// The map from cotangents of `outputs` to cotangents of `inputs`.
LinearMap vjp_map(Span inputs, Span outputs, TraceId id);
// The map from tangents of `inputs` to tangents of `outputs`.
LinearMap jvp_map(Span inputs, Span outputs, TraceId id);

}  // namespace funcnn
