// One value of the lazy graph: how it is computed and, once computed, where its elements are.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/buffer.h"
#include "base/device.h"
#include "base/dtype.h"
#include "base/ref.h"
#include "base/shape.h"

namespace funcnn {

class Primitive;
class Node;
using NodeRef = Ref<Node>;

// Shape and dtype: all that is known of a value before it is computed.
struct Aval {
  Shape shape;
  Dtype dtype = Dtype::float32;
  bool operator==(const Aval&) const = default;
};

// Where a computed value lies. `data` points at the first element.
struct Storage {
  Ref<Buffer> buffer;  // null: a scalar inside its node
  std::byte* data = nullptr;
  Strides strides;
};

class Node final : public RefCounted {
 public:
  Node();
  ~Node();
  static void* operator new(size_t size);
  static void operator delete(void* block) noexcept;

  // Reachability is decided before sharing, the rest changes only under the evaluation lock.
  Ref<const Primitive> primitive;  // null: data, or computed and cut off from its past
  SmallVector<NodeRef, 3> inputs;
  Shape shape;
  uint64_t sequence = 0;  // creation order, the order in which plans schedule
  Dtype dtype = Dtype::float32;
  Device device = Device::cpu;
  uint8_t level = 0;        // the innermost trace the value depends on
  bool abstract = false;    // depends on a placeholder: has no value
  bool rebindable = false;  // handles may be rebound in place (funcnn.compat)
  bool donated = false;     // its memory was given to a compiled function

  // Computed. The pointer is published last, so a thread that sees it sees the rest of the storage.
  bool available() const noexcept {
    return std::atomic_ref<std::byte*>(const_cast<std::byte*&>(storage.data)).load(std::memory_order_acquire) !=
               nullptr ||
           results != nullptr;
  }
  void publish(Storage computed) noexcept {
    storage.buffer = std::move(computed.buffer);
    storage.strides = std::move(computed.strides);
    std::atomic_ref<std::byte*>(storage.data).store(computed.data, std::memory_order_release);
  }
  bool multi() const noexcept { return avals != nullptr; }
  int64_t size() const noexcept { return element_count(shape); }

  Storage storage;
  // A primitive with several outputs: one node for all, and an Output node for each.
  std::unique_ptr<std::vector<Aval>> avals;
  std::unique_ptr<std::vector<Storage>> results;

  // Room for the value of a scalar constant.
  alignas(8) std::byte immediate[8] = {};
};

}  // namespace funcnn
