// What every transformation starts with: the nodes between the inputs of a trace and its outputs.
#pragma once

#include "graph/graph.h"

namespace funcnn {

struct Walk {
  std::vector<Node*> nodes;  // those that depend on an input, in order of creation, inputs excluded
  NodeMap<uint32_t> slots;   // inputs first, then `nodes`
  size_t size() const { return inputs + nodes.size(); }
  size_t inputs = 0;
  const uint32_t* find(const Node* node) const { return slots.find(node); }
};

// `level`: that of the trace; nothing below it depends on the inputs. `abstract`: the inputs are placeholders.
Walk walk_between(Span inputs, Span outputs, uint8_t level, bool abstract);

// Nodes that walks met which were computed while their trace ran, and so still hold what they were made from. Handed
// over once: whoever ends the outermost trace cuts them off.
std::vector<NodeRef> take_computed_in_trace();

// The level of a closed graph's inputs.
uint8_t graph_level(const Graph& graph);

// Zeros in the place of the stand-ins of a linear function that was transposed: its transpose does not depend on their
// values, but may mention them (a loop, for one, carries them along). `level` is that of the stand-ins; null stays
// null.
Arrays forget(Span stand_ins, Arrays results, uint8_t level);

// Zeros where an array is null.
Array or_zeros(const Array& x, const Aval& aval);

}  // namespace funcnn
