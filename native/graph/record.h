// What the nodes that are made on a thread are made for: how fn.debug finds the operation behind a bad value.
#pragma once

#include <atomic>
#include <functional>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "graph/primitive.h"

namespace funcnn {

// What is remembered of a node. Computing it cuts the node itself off from all this.
struct Record {
  NodeRef node;
  Ref<const Primitive> primitive;
  SmallVector<NodeRef, 3> inputs;
  int64_t place = -1;                   // what `where` said
  std::string_view derivative_of = {};  // the operation whose rule has made it; of a static name
};

// Where a new node comes from.
struct Origin {
  bool known = false;
  int64_t place = -1;
  std::string_view derivative_of = {};
};

// While active, every node that is made on this thread is remembered, and kept alive.
class Recording {
 public:
  // `where` is asked for the place in the program of nodes that come from no other node.
  explicit Recording(std::function<int64_t()> where) : where_(std::move(where)) {}
  ~Recording() { stop(); }
  Recording(const Recording&) = delete;

  void start();
  void stop() noexcept;
  const Record* find(const Node* node) const;

  // That of this thread; null: none.
  static Recording* current();

 private:
  friend class OriginScope;
  friend void record_node(Node& node);

  std::function<int64_t()> where_;
  std::vector<Record> records_;
  NodeMap<uint32_t> index_;  // one more than the place in `records_`
  Origin origin_;
  bool active_ = false;
  Recording* outer_ = nullptr;
};

// How many recordings are active, on all threads.
inline constinit std::atomic<int> recordings{0};

void record_node(Node& node);
// Called for each new node.
inline void record(Node& node) {
  if (recordings.load(std::memory_order_relaxed) != 0) [[unlikely]]
    record_node(node);
}

// While alive, nodes that are made stand where `node` does in the program: they are made from it by a rule.
class OriginScope {
 public:
  enum class Rule : uint8_t { copy, derivative };
  OriginScope(const Node& node, Rule rule) {
    if (recordings.load(std::memory_order_relaxed) != 0) [[unlikely]]
      enter(node, rule);
  }
  ~OriginScope() {
    if (recording_) leave();
  }
  OriginScope(const OriginScope&) = delete;

 private:
  void enter(const Node& node, Rule rule);
  void leave() noexcept;

  Recording* recording_ = nullptr;
  Origin before_;
};

}  // namespace funcnn
