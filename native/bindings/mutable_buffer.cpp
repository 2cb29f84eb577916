// Memory of arrays that other libraries may write to: MLX's views of arrays are writable, and what is written there is
// in the array. The values of nodes do not change, so the memory is made the handle's own first.
#include <mutex>
#include <unordered_set>

#include "bindings/interchange.h"
#include "bindings/mutable.h"
#include "graph/trace.h"

namespace funcnn {
namespace {

// Memory that has been exposed, by address. Never destroyed: arrays may outlive static destruction.
std::mutex& mutex() {
  static auto* made = new std::mutex;
  return *made;
}
std::unordered_set<const void*>& exposed() {
  static auto* made = new std::unordered_set<const void*>;
  return *made;
}

bool is_exposed(const Node& node) {
  if (node.is_scalar() || node.storage.buffer->owned()) return false;
  std::lock_guard lock(mutex());
  return exposed().count(node.storage.buffer->host()) != 0;
}

// The memory as one that no result is written to.
Ref<Buffer> kept(Ref<Buffer> memory) {
  std::byte* data = memory->host();
  size_t bytes = memory->size();
  {
    std::lock_guard lock(mutex());
    exposed().insert(data);
  }
  return Buffer::adopt(data, bytes, [memory = std::move(memory), data] {
    std::lock_guard lock(mutex());
    exposed().erase(data);
  });
}

// Whether nobody else has the value or its memory.
bool is_alone(const Node& node) {
  return node.use_count() == 1 && !node.is_scalar() && node.storage.buffer->owned() && node.storage.buffer->host() &&
         node.storage.buffer->use_count() == 1 && node.storage.offset == 0 && !node.storage.ready &&
         is_contiguous(node.shape, node.storage.strides);
}

}  // namespace

void expose(Array& handle) {
  if (is_exposed(*handle.node())) return;
  bool alone = is_alone(*handle.node()), traced = is_traced(handle);
  Array copy = alone ? handle : private_copy(handle);
  Storage storage;
  storage.buffer = kept(copy.node()->storage.buffer);
  storage.strides = contiguous_strides(handle.shape());
  // Derivatives go on through what stood here before.
  Array made = traced ? alias_of(handle) : from_storage(storage, handle.shape(), handle.dtype());
  if (traced) made.node()->publish(std::move(storage));
  made.node()->device = handle.node()->device;
  made.node()->from_nothing = 0;
  handle = with_rebindable(std::move(made), true);
}

int get_mutable_buffer(PyObject* self, Py_buffer* view, int flags) {
  view->obj = nullptr;
  return guarded(
      [&] {
        Array& handle = array_of(self);
        evaluate(handle, "the buffer protocol");
        const Ref<Buffer>& buffer = handle.node()->storage.buffer;
        if (buffer && buffer->device() != kCpu) {
          if (flags & PyBUF_WRITABLE)
            throw ValueError(cat("the memory of an array on ", device_name(buffer->device()),
                                 " cannot be written through a view; move it to the CPU first"));
          return fill_buffer(self, shareable(handle), view, flags, true);
        }
        expose(handle);
        return fill_buffer(self, handle, view, flags, false);
      },
      -1);
}

}  // namespace funcnn
