#include "graph/node.h"

#include <atomic>

#include "graph/primitive.h"
#include "graph/sequence.h"

namespace funcnn {
namespace {

std::atomic<uint64_t> next_sequence{1};

// What this thread keeps, in one place: finding it costs a call.
struct Local {
  // Nodes whose last reference went while another node was being destroyed: a chain of a million nodes must not recurse
  // a million times.
  SmallVector<Node*, 16>* dying = nullptr;
  uint64_t next = 0, end = 0;  // numbers that are reserved
};
thread_local constinit Local local;

uint64_t take_sequence() {
  Local& mine = local;
  return mine.next < mine.end ? mine.next++ : next_sequence.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

uint64_t next_node_sequence() { return next_sequence.load(std::memory_order_relaxed); }

SequenceRange::SequenceRange(size_t count) : next_before_(local.next), end_before_(local.end) {
  local.next = next_sequence.fetch_add(count, std::memory_order_relaxed);
  local.end = local.next + count;
}
SequenceRange::~SequenceRange() {
  local.next = next_before_;
  local.end = end_before_;
}

Node::Node() : sequence(take_sequence()) {}

Node::~Node() {
  if (output >= 0 && !inputs.empty()) inputs[0]->outputs->readers[output].fetch_sub(1, std::memory_order_acq_rel);
  if (inputs.empty()) return;  // most have lost their past before
  SmallVector<Node*, 16>*& dying = local.dying;
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
