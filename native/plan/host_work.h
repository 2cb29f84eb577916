// Kernels that do their work on the host while they are started.
#pragma once

#include <cstddef>
#include <span>

namespace funcnn {

class HostWork {
 public:
  virtual ~HostWork() = default;
  // What `Kernel::encode` does, given where the host sees the first element of each operand.
  virtual void run(std::span<std::byte* const> operands) = 0;
};

}  // namespace funcnn
