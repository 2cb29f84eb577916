// How operations are made again, by their names. A family of them has a file that adds its rows.
#pragma once

#include <functional>
#include <map>
#include <utility>

#include "graph/primitive.h"
#include "transforms/written_operations.h"

namespace funcnn {

using Avals = std::vector<Aval>;
// The results from parameters, operands and the avals of the results. It checks all three: a kernel trusts them.
using Maker = std::function<Arrays(const Parameters&, Span, const Avals&)>;
using Makers = std::map<std::string_view, Maker>;

// A node of this primitive with the given outputs.
inline Arrays node(Ref<const Primitive> primitive, Span in, const Avals& out) {
  if (out.size() == 1) return {make_node(std::move(primitive), in, out[0].shape, out[0].dtype)};
  return make_nodes(std::move(primitive), in, out);
}
template <class P, class... Args>
Arrays node_of(Span in, const Avals& out, Args&&... args) {
  return node(Ref<const Primitive>(new P(std::forward<Args>(args)...)), in, out);
}

void add_attention(Makers& makers);
void add_linalg(Makers& makers);
void add_quantized(Makers& makers);

}  // namespace funcnn
