// Trading arithmetic for memory: what a function computes is thrown away and computed again when its derivative needs
// it.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "graph/graph.h"

namespace funcnn {

// What is kept of the forward pass beside the arguments.
struct CheckpointPolicy {
  enum class Keep : uint8_t { everything, nothing, dots, names, budget };
  Keep keep = Keep::nothing;
  std::set<std::string, std::less<>> names;
  size_t budget = 0;  // bytes
};

// f(arguments), where `f` is traced into a graph if any transformation is running.
Arrays checkpoint(const std::function<Arrays(Span)>& f, Span arguments, const CheckpointPolicy& policy);

// `outputs`, known to be what `graph` makes of `arguments`: derivatives compute it again from them. Outputs of the
// graph beyond `outputs` are values worth keeping, given in `saved`.
Arrays recomputed(Graph graph, Span arguments, Span outputs, Span saved);

}  // namespace funcnn
