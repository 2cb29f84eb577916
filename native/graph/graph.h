// A closed graph: outputs that depend on nothing but placeholders and constants.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "graph/array.h"
#include "graph/primitive.h"

namespace funcnn {

struct Graph {
  Arrays inputs;  // placeholders
  Arrays outputs;
};

// A map from nodes to values of T, open addressed.
template <class T>
class NodeMap {
 public:
  explicit NodeMap(size_t expected = 16) { grow(expected * 2); }

  T* find(const Node* node) {
    for (size_t i = slot(node);; i = (i + 1) & mask_) {
      if (keys_[i] == node) return &values_[i];
      if (!keys_[i]) return nullptr;
    }
  }
  const T* find(const Node* node) const { return const_cast<NodeMap*>(this)->find(node); }
  bool contains(const Node* node) const { return find(node) != nullptr; }
  // The value of `node`, made by default if there is none; `fresh` says which.
  T& insert(const Node* node, bool& fresh) {
    if ((count_ + 1) * 2 > keys_.size()) grow(keys_.size() * 2);
    for (size_t i = slot(node);; i = (i + 1) & mask_) {
      if (keys_[i] == node) {
        fresh = false;
        return values_[i];
      }
      if (!keys_[i]) {
        keys_[i] = node;
        ++count_;
        fresh = true;
        return values_[i];
      }
    }
  }
  T& operator[](const Node* node) {
    bool fresh;
    return insert(node, fresh);
  }
  size_t size() const { return count_; }
  void clear() {
    std::fill(keys_.begin(), keys_.end(), nullptr);
    std::fill(values_.begin(), values_.end(), T());
    count_ = 0;
  }

 private:
  size_t slot(const Node* node) const {
    uint64_t x = reinterpret_cast<uintptr_t>(node) >> 4;
    return size_t((x * 0x9e3779b97f4a7c15ull) >> 20) & mask_;
  }
  void grow(size_t capacity) {
    size_t size = 16;
    while (size < capacity) size *= 2;
    std::vector<const Node*> keys(size, nullptr);
    std::vector<T> values(size);
    keys.swap(keys_);
    values.swap(values_);
    mask_ = size - 1;
    for (size_t i = 0; i < keys.size(); ++i) {
      if (!keys[i]) continue;
      size_t j = slot(keys[i]);
      while (keys_[j]) j = (j + 1) & mask_;
      keys_[j] = keys[i];
      values_[j] = std::move(values[i]);
    }
  }

  std::vector<const Node*> keys_;
  std::vector<T> values_;
  size_t mask_ = 0, count_ = 0;
};

// Nodes that `roots` depend on, inputs before users, for which `enter` holds (it is asked once for each node reached;
// nodes it refuses are neither listed nor walked through). Iterative: graphs may be deep.
template <class Enter>
std::vector<Node*> topological_order(std::span<const Array> roots, Enter&& enter) {
  std::vector<Node*> order;
  NodeMap<char> seen;
  std::vector<std::pair<Node*, uint32_t>> stack;
  auto push = [&](Node* node) {
    bool fresh;
    seen.insert(node, fresh);
    if (fresh && enter(*node)) stack.emplace_back(node, 0);
  };
  for (const Array& root : roots) {
    if (!root) continue;
    push(root.node());
    while (!stack.empty()) {
      auto& [node, next] = stack.back();
      if (next < node->inputs.size()) {
        Node* input = node->inputs[next++].get();
        push(input);
      } else {
        order.push_back(node);
        stack.pop_back();
      }
    }
  }
  return order;
}

// The outputs with `to` in the place of `from`. Nodes that do not depend on any of `from` are shared.
Arrays replace(Span outputs, Span from, Span to);
// The same with `arguments` in the place of a graph's inputs.
Arrays substitute(const Graph& graph, Span arguments);

// Traced values made before node number `since` that `outputs` depend on in some other way than through `inputs`: what
// a function that ran from then on used beside its arguments.
Arrays used_from_outside(Span outputs, Span inputs, uint64_t since);

// Make (inputs -> outputs) closed. What the outputs use but does not depend on the inputs is captured: it becomes
// further inputs, returned in `captured` in the order they were appended. What is made from nothing (see Node) is not
// captured but computed inside; so are the nodes from number `since` on. `id` is that of the inputs' trace: nothing
// below it depends on them. The result holds placeholders of that trace and no reference to the nodes it was made from,
// except scalar constants.
Graph close_graph(Span inputs, Span outputs, TraceId id, Arrays& captured, Ref<Placeholder::Trace> trace,
                  uint64_t since = UINT64_MAX);

// Structural hash of a closed graph: equal for graphs that compute the same in the same way.
Hash hash_graph(const Graph& graph);

}  // namespace funcnn
