#include "buffer.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "../device/checker.h"
#include "../device/options.h"

namespace software_metal {
namespace {

constexpr size_t kAlignment = 256;
constexpr size_t kPage = 16384;
constexpr size_t kMapped = 64 << 10;  // from this size on memory comes from the system

std::atomic<unsigned> resources{0};
std::atomic<size_t> allocated{0};

size_t rounded(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

// Beside every buffer, where kernels are checked: what runs over one end is not in another buffer.
constexpr size_t kMargin = 4096;

// Zeros, as Metal gives them.
unsigned char* allocate(size_t length) {
  if (length >= kMapped) {
    void* memory = mmap(nullptr, rounded(length, kPage), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? nullptr : static_cast<unsigned char*>(memory);
  }
  size_t bytes = rounded(length, kAlignment);
  void* memory = std::aligned_alloc(kAlignment, bytes);
  if (memory) std::memset(memory, 0, bytes);
  return static_cast<unsigned char*>(memory);
}
void free_memory(unsigned char* memory, size_t length) {
  if (length >= kMapped)
    munmap(memory, rounded(length, kPage));
  else
    std::free(memory);
}

}  // namespace

Heap::Heap(size_t size, Unsigned options) : Object(heap_class()), size(size), options(options) {}

bool Heap::take(size_t bytes) {
  std::lock_guard lock(mutex_);
  if (used_ + rounded(bytes, kAlignment) > size) return false;
  used_ += rounded(bytes, kAlignment);
  return true;
}
void Heap::give_back(size_t bytes) {
  std::lock_guard lock(mutex_);
  used_ -= rounded(bytes, kAlignment);
}

Buffer::Buffer(unsigned char* bytes, size_t length, Unsigned options, Heap* heap, size_t margin, bool owned)
    : Object(buffer_class()),
      bytes_(bytes),
      length_(length),
      used_(length),
      options_(options),
      heap_(heap),
      margin_(margin),
      owned_(owned),
      resource_(++resources) {}
Buffer::Buffer(void* memory, size_t length, Unsigned options)
    : Buffer(static_cast<unsigned char*>(memory), length, options, nullptr, 0, false) {}

Buffer* Buffer::make(size_t length, Unsigned options, Heap* heap) {
  if (length == 0) misuse("newBufferWithLength: of 0 bytes");
  if (heap && !heap->take(length)) return nullptr;
  const size_t margin = software_metal::options().check ? kMargin : 0;
  unsigned char* memory = allocate(length + 2 * margin);
  if (!memory) {
    if (heap) heap->give_back(length);
    return nullptr;
  }
  unsigned char* bytes = memory + margin;
  if (software_metal::options().poison) std::memset(bytes, kPoison, length);
  allocated += length;
  return new Buffer(bytes, length, options, heap, margin, true);
}

Buffer::~Buffer() {
  if (software_metal::options().check) Checker::instance().forget(resource_);
  if (owned_) {
    free_memory(bytes_ - margin_, length_ + 2 * margin_);
    allocated -= length_;
  }
  if (heap_) heap_->give_back(length_);
}

size_t allocated_bytes() { return allocated; }

std::string Buffer::name() const {
  return label.empty() ? "buffer " + std::to_string(resource_) + " of " + std::to_string(length_) + " bytes"
                       : "buffer `" + label + "` of " + std::to_string(length_) + " bytes";
}

Bound Buffer::bound(size_t offset) const {
  return {bytes_ + offset, std::max(used_, offset) - offset, offset, name(), resource_};
}

const Class& buffer_class() {
  static const Class* made =
      &(new Class("MTLBuffer", &object_class()))
           // Private memory is the device's own.
           ->method("contents",
                    [](Buffer* self, Selector) -> void* { return self->is_private() ? nullptr : self->bytes(); })
           .method("length", [](Buffer* self, Selector) { return Unsigned(self->length()); })
           .method("allocatedSize",
                   [](Buffer* self, Selector) { return Unsigned(rounded(self->length(), kAlignment)); })
           .method("resourceOptions", [](Buffer* self, Selector) { return self->options(); })
           .method("storageMode", [](Buffer* self, Selector) { return self->options() >> 4 & 0xf; })
           .method("hazardTrackingMode", [](Buffer* self, Selector) { return self->options() >> 8 & 3; })
           .method("gpuAddress", [](Buffer* self, Selector) { return reinterpret_cast<Unsigned>(self->bytes()); })
           .method("setUsedLength:", [](Buffer* self, Selector, Unsigned bytes) { self->set_used(bytes); })
           .method("didModifyRange:", [](Buffer*, Selector, Range) {})
           .method("setLabel:", [](Buffer* self, Selector, String* label) { self->label = text_of(label); })
           .method("label", [](Buffer* self, Selector) { return autoreleased(new String(self->label)); });
  return *made;
}

const Class& heap_class() {
  static const Class* made = &(new Class("MTLHeap", &object_class()))
                                  ->method("newBufferWithLength:options:",
                                           [](Heap* self, Selector, Unsigned length, Unsigned options) {
                                             return Buffer::make(length, options, self);
                                           })
                                  .method("size", [](Heap* self, Selector) { return Unsigned(self->size); })
                                  .method("usedSize", [](Heap* self, Selector) {
                                    std::lock_guard lock(self->mutex_);
                                    return Unsigned(self->used_);
                                  });
  return *made;
}

namespace {

const bool registered = (buffer_class(), heap_class(), true);

}  // namespace

}  // namespace software_metal
