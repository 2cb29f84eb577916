// MTLBuffer and MTLHeap.
#pragma once

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <string>
#include <vector>

#include "../device/dispatch.h"
#include "../objc/foundation.h"

namespace software_metal {

using Unsigned = unsigned long;

struct Range {
  Unsigned location, length;
};

struct Heap final : Object {
  Heap(size_t size, Unsigned options);
  // Takes room; false: there is none left.
  bool take(size_t bytes);
  void give_back(size_t bytes);
  const size_t size;
  const Unsigned options;

 private:
  friend const Class& heap_class();
  std::mutex mutex_;
  size_t used_ = 0;
};

class Buffer final : public Object {
 public:
  // Null where there is no memory.
  static Buffer* make(size_t length, Unsigned options, Heap* heap = nullptr);
  // Memory of the caller's.
  Buffer(void* memory, size_t length, Unsigned options);
  ~Buffer() override;

  size_t length() const { return length_; }
  bool is_private() const { return (options_ >> 4 & 0xf) == 2; }
  Unsigned options() const { return options_; }
  unsigned char* bytes() const { return bytes_; }
  unsigned resource() const { return resource_; }
  std::string name() const;
  Bound bound(size_t offset) const;
  // For the checker: the rest of the buffer is nobody's, until the next call.
  void set_used(size_t bytes) { used_ = std::min(bytes, length_); }

  std::string label;

 private:
  Buffer(unsigned char* bytes, size_t length, Unsigned options, Heap* heap, size_t margin, bool owned);
  unsigned char* bytes_;
  size_t length_, used_;
  Unsigned options_;
  Ref<Heap> heap_;
  size_t margin_;  // of memory before and after that is nobody's
  bool owned_;
  unsigned resource_;
};

// Of all buffers that are there.
size_t allocated_bytes();

const Class& buffer_class();
const Class& heap_class();

}  // namespace software_metal
