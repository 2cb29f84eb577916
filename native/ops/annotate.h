// Primitives that repeat a value and exist for what they tell the transformations and the planner.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "graph/array.h"
#include "graph/primitive.h"

namespace funcnn {

// The value without its derivative.
Array stop_gradient(const Array& x);

// The value under a name that the checkpoint policy save_names can ask for.
Array checkpoint_name(const Array& x, std::string name);
// The name given by checkpoint_name; empty for every other node.
std::string_view checkpoint_name_of(const Node& node);

// The value, not to be computed before `after` are, and never to be merged with what is computed from `x` itself.
// Input 0 is the value, the other inputs only order.
Array barrier(const Array& x, Span after);

// Values as the outputs of one node, which may stand where a primitive with several outputs stood.
Arrays together(Span values);

}  // namespace funcnn
