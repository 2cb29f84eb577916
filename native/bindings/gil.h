// Working without the interpreter lock, and giving things back to the interpreter from anywhere.
#pragma once

#include <functional>

#include "bindings/bindings.h"

namespace funcnn {

// Releases the interpreter lock while it lives.
class Unlocked {
 public:
  Unlocked();
  ~Unlocked();
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  PyThreadState* state_;
};

// Run `release`, which needs the interpreter lock: at once if this thread has it, else soon and on another thread.
// Waiting for the lock could wait for a thread that waits for this one, and the interpreter may be about to end.
void release_soon(std::function<void()> release);

}  // namespace funcnn
