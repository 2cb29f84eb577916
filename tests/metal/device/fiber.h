// Stacks that are switched by hand: one for every GPU thread that waits.
#pragma once

#include <cstddef>

namespace software_metal {

class Fiber {
 public:
  static constexpr size_t kStackBytes = 128 << 10;  // touched as far as it is used

  // `body` never returns: it switches away.
  explicit Fiber(void (*body)());
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Forget what was running here; the next switch starts the body again.
  void reset();
  bool holds(const void* address) const { return address >= stack_ && address < stack_ + kStackBytes; }

  // Save the running stack in `from` and go on in `to`.
  static void switch_stacks(void*& from, void* to);
  void* stack_pointer;

 private:
  void (*body_)();
  char* stack_;
};

}  // namespace software_metal
