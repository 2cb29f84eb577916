// Graphs for people.
#pragma once

#include <string>

#include "graph/graph.h"

namespace funcnn {

// One line a node: "%3: float32(2, 4) = add(%1, %2)". Graphs that primitives hold are indented below them.
std::string list_graph(const Graph& graph);
// The graph in the DOT language.
std::string graph_to_dot(const Graph& graph);

}  // namespace funcnn
