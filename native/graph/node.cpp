#include "graph/node.h"

#include <atomic>

#include "graph/primitive.h"

namespace funcnn {
namespace {

std::atomic<uint64_t> next_sequence{1};

// Nodes whose last reference went while another node was being destroyed: a chain of a million nodes must not recurse a
// million times.
thread_local constinit SmallVector<Node*, 16>* dying_nodes = nullptr;

}  // namespace

uint64_t next_node_sequence() { return next_sequence.load(std::memory_order_relaxed); }

Node::Node() : Node(next_sequence.fetch_add(1, std::memory_order_relaxed)) {}
Node::Node(uint64_t number) noexcept : sequence(number) {}

Node::Maker::Maker(size_t count) : next_(next_sequence.fetch_add(count, std::memory_order_relaxed)) {}
NodeRef Node::Maker::make() { return NodeRef::first(::new (supply_.take()) Node(next_++)); }

Node::~Node() {
  if (output >= 0 && !inputs.empty()) inputs[0]->outputs->readers[output].fetch_sub(1, std::memory_order_acq_rel);
  if (inputs.empty()) return;  // most have lost their past before
  SmallVector<Node*, 16>*& dying = dying_nodes;
  auto let_go = [this](SmallVector<Node*, 16>& to) {
    for (NodeRef& input : inputs) {
      Node* node = input.detach();
      if (node && node->release()) to.push_back(node);
    }
  };
  if (dying) {
    let_go(*dying);
    return;
  }
  SmallVector<Node*, 16> mine;
  dying = &mine;
  let_go(mine);
  while (!mine.empty()) {
    Node* node = mine.back();
    mine.pop_back();
    delete node;
  }
  dying = nullptr;
}

}  // namespace funcnn
