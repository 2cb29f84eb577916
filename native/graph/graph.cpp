#include "graph/graph.h"

#include <algorithm>

#include "base/error.h"
#include "graph/record.h"
#include "graph/trace.h"
#include "graph/transfer.h"

namespace funcnn {
namespace {

// Whether a closed graph computes the node itself. Such nodes are never shared between graphs, so none gets a value.
bool computed_inside(const Node& node) {
  return node.from_nothing && node.primitive && !node.available() && !node.lost();
}

// Rebuild nodes over the replacements already in `map`; nodes outside keep their place. In order of creation, which is
// topological and which plans schedule by.
void rebuild(std::vector<Node*> order, NodeMap<Array>& map) {
  auto older = [](const Node* a, const Node* b) { return a->sequence < b->sequence; };
  if (!std::is_sorted(order.begin(), order.end(), older)) std::sort(order.begin(), order.end(), older);
  Arrays inputs;
  for (Node* node : order) {
    if (map.contains(node)) continue;
    inputs.clear();
    bool changed = false;
    for (const NodeRef& input : node->inputs) {
      const Array* replaced = map.find(input.get());
      if (replaced && replaced->node() != input.get()) changed = true;
      inputs.push_back(replaced ? *replaced : Array(input));
    }
    OriginScope origin(*node, OriginScope::Rule::copy);
    map[node] = changed || node->from_nothing ? Array(remake_node(*node, inputs)) : Array(NodeRef(node));
  }
}

}  // namespace

Arrays replace(Span outputs, Span from, Span to) {
  NodeMap<Array> map(64);
  TraceId lowest = UINT64_MAX;
  bool abstract = true;
  for (size_t i = 0; i < from.size(); ++i) {
    map[from[i].node()] = to[i];
    lowest = std::min(lowest, from[i].node()->trace);
    abstract &= from[i].node()->abstract;
  }
  auto order = topological_order(outputs, [&](Node& n) {
    return ((n.trace >= lowest && (n.abstract || !abstract)) || computed_inside(n)) && !map.contains(&n);
  });
  rebuild(std::move(order), map);
  Arrays replaced;
  replaced.reserve(outputs.size());
  for (const Array& output : outputs) {
    const Array* made = map.find(output.node());
    replaced.push_back(made ? *made : output);
  }
  return replaced;
}

Arrays substitute(const Graph& graph, Span arguments) {
  if (arguments.size() != graph.inputs.size())
    throw Error(cat("a graph of ", graph.inputs.size(), " inputs was given ", arguments.size()));
  return replace(graph.outputs, graph.inputs, arguments);
}

Arrays used_from_outside(Span outputs, Span inputs, uint64_t since) {
  NodeMap<char> known(64);
  for (const Array& x : inputs) known[x.node()] = 1;
  Arrays found;
  auto use = [&](Node& node) {
    bool fresh;
    known.insert(&node, fresh);
    if (Array x{NodeRef(&node)}; fresh && is_traced(x)) found.push_back(std::move(x));
    return false;
  };
  topological_order(outputs, [&](Node& node) {
    // What depends on no trace may be losing its inputs on another thread.
    if (node.trace == 0 || known.contains(&node)) return false;
    // A node with several outputs is used through the one that is read.
    bool reads_outside = node.inputs.size() == 1 && node.inputs[0]->multi() && node.inputs[0]->sequence < since;
    return node.sequence < since || reads_outside ? use(node) : true;
  });
  return found;
}

Graph close_graph(Span inputs, Span outputs, TraceId id, Arrays& captured, Ref<Placeholder::Trace> trace,
                  uint64_t since) {
  Graph graph;
  NodeMap<Array> map(64);
  auto stand_in = [&](const Array& x) {
    Array p = make_placeholder(x.shape(), x.dtype(), trace, id, x.node()->device);
    map[x.node()] = p;
    graph.inputs.push_back(p);
  };
  for (const Array& x : inputs) stand_in(x);
  auto order = topological_order(outputs, [&](Node& n) { return n.trace >= id && !map.contains(&n); });
  // Traces prune the walk; what really depends on the inputs is found exactly, since later traces need not.
  NodeMap<char> inside(64);
  for (const Array& x : inputs) inside[x.node()] = 1;
  std::erase_if(order, [&](Node* node) {
    for (const NodeRef& input : node->inputs)
      if (inside.contains(input.get())) return inside[node] = 1, false;
    return true;
  });
  {
    // Others may evaluate what was made outside, but not cut it off from its past while it is taken over.
    std::lock_guard past(past_mutex());
    // What is on its way from another device arrives before: arguments of a graph are on one.
    auto recent = [&](const Node& n) {
      return n.sequence >= since && !n.inputs.empty() && (!n.available() || keeps_still(n)) && !n.lost() &&
             !dynamic_cast<const Transfer*>(n.primitive.get());
    };
    Arrays edge;
    for (Node* node : order)
      for (const NodeRef& input : node->inputs) edge.emplace_back(input);
    edge.insert(edge.end(), outputs.begin(), outputs.end());
    // Those of them that depend on something outside: the others would be shared, and so could get a value.
    NodeMap<char> own;
    std::vector<Node*> young;
    if (since < UINT64_MAX)
      young = topological_order(edge, [&](Node& n) { return recent(n) && !inside.contains(&n) && !map.contains(&n); });
    auto ours = [&](const NodeRef& n) { return own.contains(n.get()); };
    auto outside = [&](const NodeRef& n) { return !(recent(*n) || computed_inside(*n) || n->is_scalar()); };
    for (Node* node : young) {
      const auto& from = node->inputs;
      // A node with several outputs, computed before, is used through the one that is read.
      bool reads = from.size() == 1 && from[0]->multi();
      if (std::any_of(from.begin(), from.end(), [&](const NodeRef& n) { return ours(n) || (!reads && outside(n)); }))
        own[node] = 1;
    }
    auto made = topological_order(edge, [&](Node& n) {
      if (inside.contains(&n) || map.contains(&n)) return false;
      if (computed_inside(n) || own.contains(&n)) return true;
      // A scalar constant stays.
      if (n.is_scalar()) return false;
      Array outer{NodeRef(&n)};
      stand_in(outer);
      captured.push_back(outer);
      return false;
    });
    rebuild(std::move(made), map);
  }
  rebuild(std::move(order), map);
  for (const Array& output : outputs) {
    const Array* replaced = map.find(output.node());
    graph.outputs.push_back(replaced ? *replaced : output);
  }
  return graph;
}

Hash hash_graph(const Graph& graph) {
  Hasher h;
  NodeMap<int> number;
  for (const Array& x : graph.inputs) {
    number[x.node()] = int(number.size()) + 1;
    h.add(x.shape());
    h.add(int(x.dtype()));
  }
  auto order = topological_order(graph.outputs, [&](Node&) { return true; });
  for (Node* node : order) {
    if (number.contains(node)) continue;
    int id = int(number.size()) + 1;
    number[node] = id;
    if (node->primitive && !node->available()) {
      h.add(node->primitive->name());
      node->primitive->hash(h);
      for (const NodeRef& input : node->inputs) h.add(*number.find(input.get()));
    } else if (node->is_scalar()) {
      uint64_t bits;
      std::memcpy(&bits, node->storage.scalar, 8);
      h.add(bits);
    } else {
      h.add(static_cast<const void*>(node));
    }
    h.add(int(node->dtype));
    h.add(node->shape);
  }
  for (const Array& x : graph.outputs) h.add(*number.find(x.node()));
  return h.finish();
}

}  // namespace funcnn
