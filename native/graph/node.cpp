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
uint64_t take_node_sequences(size_t count) { return next_sequence.fetch_add(count, std::memory_order_relaxed); }

Node::Node() : Node(next_sequence.fetch_add(1, std::memory_order_relaxed)) {}
Node::Node(uint64_t number) noexcept : sequence(number) {}

// Nodes of a likeness that nobody refers to, the last one first, and small memory that they have let go of. They go
// with the thread.
struct Node::Maker::Shelf {
  static constexpr int kMost = 4096, kNear = 8;

  Node* first = nullptr;  // linked by their sequences
  int count = 0;
  int most = 0;  // 0: the thread has kept none yet
  bool over = false;
  SharedBlock block;

  void put(Node* node) {
    node->sequence = reinterpret_cast<uintptr_t>(first);
    first = node;
    ++count;
  }
  Node* pop() {
    Node* node = first;
    if (node) {
      first = reinterpret_cast<Node*>(uintptr_t(node->sequence));
      --count;
    }
    return node;
  }
  // One of the last few: values of several kinds that die by turns come back by turns, in whatever order.
  Node* find(uint32_t likeness) {
    if (likeness == 0) return nullptr;
    Node* after = nullptr;
    Node* node = first;
    for (int i = 0; node && i < kNear; ++i) {
      Node* next = reinterpret_cast<Node*>(uintptr_t(node->sequence));
      if (node->likeness() == likeness) {
        if (after)
          after->sequence = node->sequence;
        else
          first = next;
        --count;
        return node;
      }
      after = std::exchange(node, next);
    }
    return nullptr;
  }
  static void free(Node* node) {
    node->~Node();
    Recycled::operator delete(node);
  }
  struct End {
    Shelf& shelf;
    ~End() {
      shelf.over = true;
      shelf.most = 0;
      while (Node* node = shelf.pop()) free(node);
      shelf.block.release();
    }
  };
  bool begin() {
    if (most || over) return false;
    most = kMost;
    static thread_local End end{*this};
    (void)&end;
    return true;
  }
};

// Apart, since each mention of what a thread has to itself is a call.
#if defined(__GNUC__)
[[gnu::noinline]]
#endif
Node::Maker::Shelf& Node::Maker::shelf() {
  static thread_local constinit Shelf mine{};
  return mine;
}

// Whether the node is kept. What has a likeness has no past, so nothing but memory has to go.
bool Node::retire() noexcept {
  if (likeness() == 0) return false;
  Maker::Shelf& shelf = Maker::shelf();
  if (shelf.count >= shelf.most && !shelf.begin()) return false;
  shelf.block.release(storage.buffer.detach());
  shelf.put(this);
  return true;
}

void Node::operator delete(Node* node, std::destroying_delete_t) noexcept {
  if (!node->retire()) Maker::Shelf::free(node);
}

Node::Maker::Maker(size_t count) : shelf_(shelf()), next_(next_sequence.fetch_add(count, std::memory_order_relaxed)) {}
NodeRef Node::Maker::take(uint32_t likeness) {
  Node* node = shelf_.find(likeness);
  if (node) {
    node->sequence = next_++;
    return NodeRef::first(node);
  }
  if ((node = shelf_.pop())) Shelf::free(node);
  return nullptr;
}
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
