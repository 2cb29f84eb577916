#include "bindings/gil.h"

#include <chrono>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace funcnn {
namespace {

struct Waiting {
  std::mutex mutex;
  std::vector<std::function<void()>> releases;
};

// Never destroyed: threads may use it until the process ends.
Waiting& waiting() {
  static auto* instance = new Waiting;
  return *instance;
}

thread_local int unlocked = 0;  // the Unlocked of this thread

int run_releases(void* = nullptr) {
  std::vector<std::function<void()>> mine;
  {
    std::lock_guard lock(waiting().mutex);
    mine.swap(waiting().releases);
  }
  for (auto& release : mine) release();
  return 0;
}

}  // namespace

Unlocked::Unlocked() : state_(PyEval_SaveThread()) { ++unlocked; }

Unlocked::~Unlocked() {
  --unlocked;
  try {
    PyEval_RestoreThread(state_);
  } catch (...) {
    // The interpreter has ended and unwinds its daemon threads; this one goes with the process.
    for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
  }
  run_releases();
}

void release_soon(std::function<void()> release) {
  if (!Py_IsInitialized()) return;  // what is left goes with the process
  if (PyGILState_GetThisThreadState() && !unlocked) {
    nb::gil_scoped_acquire held_already;
    return release();
  }
  bool first;
  {
    std::lock_guard lock(waiting().mutex);
    first = waiting().releases.empty();
    waiting().releases.push_back(std::move(release));
  }
  if (first) Py_AddPendingCall(run_releases, nullptr);
}

}  // namespace funcnn
