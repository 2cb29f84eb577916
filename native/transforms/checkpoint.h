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
  // What the forward and backward pass together may allocate beside the arguments, in bytes.
  size_t budget = 0;
  // For budget: the peak of a closed graph, and what to do with the message that no choice fits.
  std::function<size_t(const Graph&)> peak_bytes;
  std::function<void(const std::string&)> warn;
};

// f(arguments), where `f` is traced into a graph if any transformation is running.
Arrays checkpoint(const std::function<Arrays(Span)>& f, Span arguments, const CheckpointPolicy& policy);

// `outputs`, known to be what `graph` makes of `arguments`: derivatives compute it again from them. Outputs of the
// graph beyond `outputs` are values worth keeping, given in `saved`.
// `label` says to readers of a listing why.
Arrays recomputed(Graph graph, Span arguments, Span outputs, Span saved, std::string label = {});

// Dear to compute: matrix products and convolutions.
bool is_dot(const Node& node);
// The value of a node, or the values of all its outputs.
void append_values(const NodeRef& node, Arrays& values);

}  // namespace funcnn
