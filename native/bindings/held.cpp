#include "bindings/held.h"

#include <algorithm>
#include <unordered_map>

namespace funcnn {

int visit_object(const nb::object& object, visitproc visit, void* arg) {
  return object.is_valid() ? visit(object.ptr(), arg) : 0;
}

int visit_flat(const Flat& flat, visitproc visit, void* arg) {
  for (const nb::object& leaf : flat.leaves)
    if (int stop = visit_object(leaf, visit, arg)) return stop;
  return flat.treedef ? flat.treedef.traverse(visit, arg) : 0;
}

namespace {

Arrays roots_of(const Owned& owned) {
  Arrays roots = owned.graph.outputs;
  roots.insert(roots.end(), owned.graph.inputs.begin(), owned.graph.inputs.end());
  roots.insert(roots.end(), owned.captured.begin(), owned.captured.end());
  return roots;
}

}  // namespace

bool holds_python(const Owned& owned) {
  for (Node* node : topological_order(roots_of(owned), [](Node&) { return true; })) {
    if (!node->primitive) continue;
    if (node->primitive->held()) return true;
    for (const Graph* below : node->primitive->graphs())
      if (holds_python({*below})) return true;
  }
  return false;
}

int visit_graph(const Owned& owned, visitproc visit, void* arg) {
  Arrays roots = roots_of(owned);
  std::vector<Node*> order = topological_order(roots, [](Node&) { return true; });
  NodeMap<uint32_t> references(order.size() + 1);
  std::unordered_map<const Primitive*, uint32_t> uses;
  for (const Array& x : roots) references[x.node()] += 2;  // the owner's and this one
  // Users come first: when a node's turn comes, all references to it from nodes that are ours alone have been counted.
  for (size_t i = order.size(); i-- > 0;) {
    Node* node = order[i];
    if (references[node] != node->use_count()) continue;
    for (const NodeRef& input : node->inputs) ++references[input.get()];
    if (node->primitive) ++uses[node->primitive.get()];
  }
  for (auto [primitive, count] : uses) {
    if (count != primitive->use_count()) continue;
    bool alone = false;
    if (auto* held = static_cast<const PythonHeld*>(primitive->held(&alone)); held && alone)
      if (int stop = held->visit(visit, arg)) return stop;
    for (const Graph* below : primitive->graphs())
      if (int stop = visit_graph({*below}, visit, arg)) return stop;
  }
  return 0;
}

}  // namespace funcnn
