#include "base/interruption.h"

#include <atomic>
#include <chrono>

namespace funcnn {
namespace {

std::atomic<void (*)()> stopping{[] {}};

}  // namespace

void set_stop(void (*stop)()) { stopping.store(stop); }

void stop_if_asked() {
  // Asking takes the interpreter's lock, for which other threads may keep this one waiting for milliseconds.
  using Clock = std::chrono::steady_clock;
  constexpr auto kSeldom = std::chrono::milliseconds(250);
  thread_local Clock::time_point last;  // never yet
  const Clock::time_point now = Clock::now();
  if (now - last < kSeldom) return;
  last = now;
  stopping.load()();
}

}  // namespace funcnn
