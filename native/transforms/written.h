// Graphs as lists that can be stored: each operation by its name and the text of its parameters, which listings show.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace funcnn {

struct WrittenGraph;

struct WrittenNode {
  std::string name, parameters;
  std::vector<int> inputs;  // numbers of values
  std::vector<Aval> outputs;
  std::vector<WrittenGraph> graphs;  // of control flow
};

// Values are numbered: inputs first, then constants, then the outputs of each node.
struct WrittenGraph {
  std::vector<Aval> inputs;
  Arrays constants;
  std::vector<WrittenNode> nodes;
  std::vector<int> outputs;
};

// What a closed graph computes. Rules of custom functions and checkpoints are left out. Raises ValueError for an
// operation that cannot be written. Every node is made again and compared, so that nothing is lost.
WrittenGraph write_graph(const Graph& graph);
// The outputs for these inputs, whose shapes and dtypes must be those of the graph. ValueError if it is malformed.
Arrays read_graph(const WrittenGraph& graph, Span inputs);

// The outputs of a closed graph for inputs of other shapes; none where it may not be the graph that the function would
// have given for them: where a size may have become a number or a shape.
std::optional<Arrays> resized(const Graph& graph, Span inputs);

}  // namespace funcnn
