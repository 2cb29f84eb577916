#include "graph/node.h"

#include <atomic>
#include <new>

#include "graph/primitive.h"

namespace funcnn {
namespace {

std::atomic<uint64_t> next_sequence{1};

// Freed nodes of this thread, kept for reuse: creating a node is on the path of every operation.
struct FreeBlock {
  FreeBlock* next;
};
thread_local FreeBlock* free_blocks = nullptr;
thread_local int free_count = 0;
constexpr int kMaxFree = 8192;

// Nodes whose last reference went while another node was being destroyed. A chain of a million nodes must not
// recurse a million times.
thread_local SmallVector<Node*, 16>* dying = nullptr;

}  // namespace

uint64_t next_node_sequence() { return next_sequence.load(std::memory_order_relaxed); }

Node::Node() : sequence(next_sequence.fetch_add(1, std::memory_order_relaxed)) {}

Node::~Node() {
  if (output >= 0 && !inputs.empty()) inputs[0]->outputs->readers[output].fetch_sub(1, std::memory_order_acq_rel);
  if (dying) {
    for (NodeRef& input : inputs) {
      Node* node = input.detach();
      if (node && node->release()) dying->push_back(node);
    }
    return;
  }
  // Most nodes that die have lost their past already.
  if (inputs.empty()) return;
  SmallVector<Node*, 16> mine;
  dying = &mine;
  for (NodeRef& input : inputs) {
    Node* node = input.detach();
    if (node && node->release()) mine.push_back(node);
  }
  while (!mine.empty()) {
    Node* node = mine.back();
    mine.pop_back();
    delete node;
  }
  dying = nullptr;
}

void* Node::operator new(size_t size) {
  if (FreeBlock* block = free_blocks) {
    free_blocks = block->next;
    --free_count;
    return block;
  }
  return ::operator new(size);
}

void Node::operator delete(void* block) noexcept {
  if (free_count >= kMaxFree) {
    ::operator delete(block);
    return;
  }
  auto* freed = static_cast<FreeBlock*>(block);
  freed->next = free_blocks;
  free_blocks = freed;
  ++free_count;
}

}  // namespace funcnn
