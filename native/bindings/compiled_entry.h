// What fn.compile keeps of one signature, and what calls of it give.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "bindings/trace.h"
#include "plan/compiled_graph.h"
#include "pytree/pattern.h"

namespace funcnn {

// One traced signature.
struct CompiledEntry {
  nb::object statics;  // tuple of the static values, positional then (name, value)
  pytree::TreeDef inputs;
  std::vector<Argument> arguments;
  pytree::TreeDef outputs;
  std::vector<bool> weak;        // outputs that stand for Python numbers
  std::vector<bool> rebindable;  // outputs that are
  std::unique_ptr<CompiledGraph> graph;
  Arrays captured;
  NumberRanges ranges;
  pytree::Pattern pattern;    // of arguments as they came
  unsigned unlike = 0;        // calls in a row that were not as the pattern has it
  bool plain = true;          // outputs are ordinary arrays
  bool holds_python = false;  // in the graph
  bool effects = false;       // see Traced

  // What a call gives, from the outputs of the graph without the token of its effects.
  nb::object result(Arrays arrays) const;
  // The result of a short call; null: it is none, and nothing has been done. So many nodes are arguments, others are
  // captured.
  nb::object run_shortly(std::span<Node* const> nodes, size_t arguments) const;
};

}  // namespace funcnn
