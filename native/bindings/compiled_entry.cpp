#include "bindings/compiled_entry.h"

#include <algorithm>
#include <utility>

#include "bindings/kept_arrays.h"

namespace funcnn {
namespace {

// One array for each result, as outputs have them.
pytree::Leaves leaves_of(CompiledGraph::Outputs& given, KeptArrays& kept) {
  const size_t others = given.made.empty() ? 0 : given.made.back().first + 1;
  pytree::Leaves leaves(std::max(given.results, others));
  for (auto& [i, node] : given.made) leaves[i] = wrap_object(Array(std::move(node)));
  for (size_t i = 0; i < given.results; ++i)
    if (!leaves[i].is_valid()) leaves[i] = kept.array(i);
  if (given.places.empty()) return leaves;
  pytree::Leaves in_order;
  in_order.reserve(given.places.size());
  for (size_t place : given.places) in_order.push_back(leaves[place]);
  return in_order;
}

}  // namespace

nb::object CompiledEntry::result(Arrays arrays) const {
  for (size_t i = 0; !plain && i < arrays.size(); ++i) {
    if (weak[i]) arrays[i] = with_weakness(std::move(arrays[i]), true);
    if (rebindable[i]) arrays[i] = with_rebindable(std::move(arrays[i]), true);
  }
  return unflatten_arrays(outputs, std::move(arrays));
}

nb::object CompiledEntry::run_shortly(std::span<Node* const> nodes, size_t arguments) const {
  KeptArrays kept;
  CompiledGraph::Outputs given;
  if (!graph->run_shortly(nodes, arguments, kept, given)) return {};
  pytree::Leaves leaves = leaves_of(given, kept);
  if (plain) return pytree::unflatten(outputs, std::move(leaves));
  Arrays arrays;
  arrays.reserve(leaves.size());
  for (const nb::object& leaf : leaves) {
    Array& x = array_of(leaf.ptr());
    arrays.push_back(given.places.empty() ? std::move(x) : x);
  }
  return result(std::move(arrays));
}

}  // namespace funcnn
