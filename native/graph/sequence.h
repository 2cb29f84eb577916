// Numbers for nodes that are made together.
#pragma once

#include <cstddef>
#include <cstdint>

namespace funcnn {

// While alive, the next nodes that this thread makes take their numbers from a range of so many, which is reserved at
// once: counting is a locked instruction. For nodes without inputs, since others may be given later numbers meanwhile.
class SequenceRange {
 public:
  explicit SequenceRange(size_t count);
  ~SequenceRange();
  SequenceRange(const SequenceRange&) = delete;

 private:
  uint64_t next_before_, end_before_;
};

}  // namespace funcnn
