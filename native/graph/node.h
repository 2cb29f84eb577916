// One value of the lazy graph: how it is computed and, once computed, where its elements are.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <vector>

#include "base/buffer.h"
#include "base/device.h"
#include "base/dtype.h"
#include "base/event.h"
#include "base/recycled.h"
#include "base/ref.h"
#include "base/shape.h"

namespace funcnn {

class Primitive;
class Node;
using NodeRef = Ref<Node>;
// One run of a transformation, later ones above earlier ones; 0: none (see graph/trace.h).
using TraceId = uint64_t;

// Shape and dtype: all that is known of a value before it is computed.
struct Aval {
  Shape shape;
  Dtype dtype = Dtype::float32;
  bool operator==(const Aval&) const = default;
};

// Where a computed value lies.
struct Storage {
  Ref<Buffer> buffer;  // null: a scalar, held in `scalar`
  int64_t offset = 0;  // of the first element, in bytes
  Strides strides;
  Ref<Event> ready;  // null: complete
  alignas(8) std::byte scalar[8] = {};
};

enum class NodeState : uint8_t {
  pending,   // not computed
  scalar,    // computed: its bytes are in the node
  computed,  // computed: in a buffer, or in `outputs`
  lost,      // its memory was given to a compiled function
};

// Several outputs of a primitive: one node has them all, and an Output node stands for each. Those that are not yet
// computed find their values here, where a value stays as long as it has readers.
struct Outputs {
  explicit Outputs(std::vector<Aval> given)
      : avals(std::move(given)), readers(std::make_unique<std::atomic<int>[]>(avals.size())) {}
  size_t size() const noexcept { return avals.size(); }

  const std::vector<Aval> avals;
  std::vector<std::optional<Storage>> values;
  std::unique_ptr<std::atomic<int>[]> readers;
};

class Node final : public RefCounted, public Recycled<Node, 8192> {
 public:
  Node();
  ~Node();
  // Nodes that compiled calls may meet again wait for their next use as they are (see Maker::take).
  static void operator delete(Node* node, std::destroying_delete_t) noexcept;
  // Nodes without inputs that are made together, numbered in turn.
  class Maker;

 private:
  // What a short call looks at, close together.
  std::atomic<uint32_t> likeness_{0};
  std::atomic<NodeState> state_{NodeState::pending};

 public:
  Dtype dtype = Dtype::float32;
  // 0: depends on data. Else made from numbers and element positions alone, by less than this many operations: closed
  // graphs compute it again instead of keeping its value.
  uint8_t from_nothing = 0;
  bool weak = false;      // stands for a Python number: takes the dtype of an array beside it
  uint64_t sequence = 0;  // creation order, the order in which plans schedule
  Storage storage;
  TraceId trace = 0;        // the latest trace the value depends on
  Device device;            // where it is, or will be computed; any: where it is needed
  bool abstract = false;    // depends on a placeholder: has no value
  bool rebindable = false;  // handles may be rebound in place (funcnn.compat)
  int16_t output = -1;      // of an Output node: which output of its input
  Shape shape;
  // Reachability is decided before sharing, the rest changes only under the evaluation lock.
  Ref<const Primitive> primitive;  // null: data, or computed and cut off from its past
  SmallVector<NodeRef, 3> inputs;
  std::unique_ptr<Outputs> outputs;  // of a primitive with several

  // The state is published last, so a thread that sees a value sees the whole of its storage.
  NodeState state() const noexcept { return state_.load(std::memory_order_acquire); }
  bool available() const noexcept {
    NodeState now = state();
    return now == NodeState::scalar || now == NodeState::computed;
  }
  bool is_scalar() const noexcept { return state() == NodeState::scalar; }
  bool lost() const noexcept { return state() == NodeState::lost; }
  void publish(Storage computed) noexcept {
    storage = std::move(computed);
    publish();
  }
  // The same for what has been put in `storage` already.
  void publish() noexcept {
    state_.store(storage.buffer ? NodeState::computed : NodeState::scalar, std::memory_order_release);
  }
  void publish_results(std::vector<std::optional<Storage>> computed) {
    outputs->values = std::move(computed);
    state_.store(NodeState::computed, std::memory_order_release);
  }
  // The memory of this value holds something else now.
  void lose() noexcept {
    likeness(0);
    state_.store(NodeState::lost, std::memory_order_release);
    storage = {};
  }
  bool multi() const noexcept { return outputs != nullptr; }
  int64_t size() const noexcept { return element_count(shape); }

  // Of computed nodes without a past: equal numbers say that only their elements differ, and that nobody has to wait
  // for those (see graph/likeness.h). 0: it has none. To be relied on under the evaluation lock.
  uint32_t likeness() const noexcept { return likeness_.load(std::memory_order_relaxed); }
  void likeness(uint32_t number) noexcept { likeness_.store(number, std::memory_order_relaxed); }

 private:
  explicit Node(uint64_t number) noexcept;
  bool retire() noexcept;
};

// Takes their numbers at once, since counting is a locked instruction, and looks once for the memory that the thread
// keeps for nodes.
class Node::Maker {
 public:
  explicit Maker(size_t count);
  NodeRef make();
  // A computed node of this likeness, which lacks its memory; null: there is none, and `make` has to do.
  NodeRef take(uint32_t likeness);

 private:
  Supply supply_;
  struct Shelf;
  friend class Node;
  static Shelf& shelf();
  Shelf& shelf_;
  uint64_t next_;
};

// The sequence that the next node, or one after it, will have.
uint64_t next_node_sequence();

}  // namespace funcnn
