#include "graph/likeness.h"

#include <mutex>
#include <unordered_map>

#include "base/hash.h"

namespace funcnn {
namespace {

// Likenesses given out, by a hash of what they stand for. No number is given twice: nodes keep those that are
// forgotten.
struct Known {
  static constexpr size_t kMost = 4096;

  uint32_t number(const Hash& of) {
    std::lock_guard lock(mutex);
    if (auto found = numbers.find(of); found != numbers.end()) return found->second;
    if (last == UINT32_MAX) return 0;
    if (numbers.size() >= kMost) numbers.clear();
    return numbers[of] = ++last;
  }

  std::mutex mutex;
  std::unordered_map<Hash, uint32_t, HashOfHash> numbers;
  uint32_t last = 0;
};
Known& known() {
  static auto* instance = new Known;
  return *instance;
}

unsigned bits_of(Device device) { return unsigned(device.kind) << 8 | unsigned(device.index); }

}  // namespace

uint32_t likeness_of(Node& node) {
  if (uint32_t number = node.likeness()) return number;
  const bool past = node.primitive || !node.inputs.empty() || node.output >= 0 || node.multi();
  if (!node.available() || past || node.trace != 0 || node.abstract || node.storage.ready) return 0;
  Hasher h;
  h.add(unsigned(node.dtype) << 8 | unsigned(node.from_nothing) << 2 | unsigned(node.weak) << 1 |
        unsigned(node.rebindable));
  h.add(bits_of(node.device));
  h.add(node.shape);
  h.add(static_cast<const void*>(node.storage.buffer ? &node.storage.buffer->memory() : nullptr));
  h.add(node.storage.strides);
  const uint32_t number = known().number(h.finish());
  node.likeness(number);
  return number;
}

void lose_shortly(Node& node, uint32_t likeness) {
  Strides strides = node.storage.strides;
  node.lose();
  node.storage.strides = strides;
  node.storage.offset = likeness;  // it is nobody's place now
}

}  // namespace funcnn
