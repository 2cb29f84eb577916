#include "graph/node.h"

#include <atomic>
#include <new>

#include "graph/primitive.h"

namespace funcnn {
namespace {

std::atomic<uint64_t> next_sequence{1};

// Freed nodes, kept for reuse: creating a node is on the path of every operation.
struct FreeBlock {
  FreeBlock* next;
};
constexpr int kMaxFree = 8192;

// What this thread keeps, in one place: finding it costs a call.
struct Local {
  FreeBlock* free_blocks = nullptr;
  int free_count = 0;
  // Nodes whose last reference went while another node was being destroyed. A chain of a million nodes must not
  // recurse a million times.
  SmallVector<Node*, 16>* dying = nullptr;
};
thread_local constinit Local local;

}  // namespace

uint64_t next_node_sequence() { return next_sequence.load(std::memory_order_relaxed); }

Node::Node() : sequence(next_sequence.fetch_add(1, std::memory_order_relaxed)) {}

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

void* Node::operator new(size_t size) {
  Local& mine = local;
  if (FreeBlock* block = mine.free_blocks) {
    mine.free_blocks = block->next;
    --mine.free_count;
    return block;
  }
  return ::operator new(size);
}

void Node::operator delete(void* block) noexcept {
  Local& mine = local;
  if (mine.free_count >= kMaxFree) {
    ::operator delete(block);
    return;
  }
  auto* freed = static_cast<FreeBlock*>(block);
  freed->next = mine.free_blocks;
  mine.free_blocks = freed;
  ++mine.free_count;
}

}  // namespace funcnn
