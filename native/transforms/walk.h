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

// `id`: that of the inputs' trace; nothing below it depends on them. `abstract`: the inputs are placeholders.
Walk walk_between(Span inputs, Span outputs, TraceId id, bool abstract);

// What of a value is followed: the derivative, from floating point to floating point, through inputs that carry any, or
// whatever there is, also through comparisons and what a predicate chooses.
enum class Follow : uint8_t { derivative, value };
// Which values of a walk (by slot) move with its inputs; of the outputs of control flow those that its graphs move.
std::vector<char> moving_values(const Walk& walk, Span inputs, Follow follow = Follow::derivative);
// Which outputs of a closed graph move with the inputs marked in `moving`.
std::vector<bool> moving_outputs(const Graph& graph, const std::vector<bool>& moving, Follow follow);

// Which outputs of a loop move, whose body makes carries, and perhaps more, of carries and more. Marks the carries in
// `moving` that move in any step.
std::vector<bool> moving_after_steps(const Graph& body, std::vector<bool>& moving, size_t carries,
                                     Follow follow = Follow::derivative);

// The trace of a closed graph's inputs.
TraceId graph_trace(const Graph& graph);

// Zeros where an array is null.
Array or_zeros(const Array& x, const Aval& aval);

}  // namespace funcnn
