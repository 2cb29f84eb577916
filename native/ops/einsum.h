// Einstein summation.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "graph/array.h"

namespace funcnn {

// Labels are letters, "..." stands for leading axes that broadcast; without "->" the labels seen once are kept, in
// alphabetical order. More than two operands are contracted in pairs, the cheapest first. Sums of products run as
// matrix products and are refused for integers, like them.
Array einsum(std::string_view subscripts, Span operands);

// The pairs that einsum contracts: positions in the list of operands left, the result going to its end.
std::vector<std::vector<int>> einsum_path(std::string_view subscripts, Span operands);

}  // namespace funcnn
