// Kernels that do their work on the host while they are started.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace funcnn {

// A kernel made ready for operands that stay where they are: a call, and nothing to find out before it.
struct FixedWork {
  // Where the call reads the address of an operand, which may be changed between calls.
  struct Start {
    std::byte** at;
    size_t operand;
    int64_t offset = 0;  // what lies there is so many bytes further on
  };

  void (*call)(void*) = nullptr;
  std::shared_ptr<void> with;  // its argument
  std::vector<Start> starts;

  // The call reads the addresses of the operands there, in their order.
  void start_at(std::span<std::byte*> places) {
    for (size_t i = 0; i < places.size(); ++i) starts.push_back({&places[i], i});
  }
};

class HostWork {
 public:
  virtual ~HostWork() = default;
  // What `Kernel::encode` does, given where the host sees the first element of each operand.
  virtual void run(std::span<std::byte* const> operands) = 0;
  // The same as calls, to be made in order again and again, which live no longer than this. `lasting` says which
  // operands have the elements that they have now in all of them. False: there may be better ones later.
  virtual bool fix(std::span<std::byte* const> operands, std::span<const char> lasting, std::vector<FixedWork>& out);
};

}  // namespace funcnn
