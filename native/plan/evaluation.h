// The lock under which values are computed, and what its holders share.
#pragma once

#include <chrono>
#include <mutex>

#include "plan/plan.h"

namespace funcnn {

// How long a thread waits before it asks whether to go on.
inline constexpr auto kPatience = std::chrono::milliseconds(50);

// One evaluation at a time: it decides which nodes get values and lets go of their past.
using EvaluationLock = std::unique_lock<std::recursive_timed_mutex>;
EvaluationLock evaluation_lock();
// The same for work that the user may interrupt.
EvaluationLock interruptible_evaluation_lock();
// Around a fork, and at the end of the process: the mutex itself.
std::recursive_timed_mutex& evaluation_mutex();
// In the child of a fork: the lock belongs to a thread that it does not have.
void renew_evaluation_mutex();

// While alive, what this thread computes is not interrupted.
class Uninterrupted {
 public:
  Uninterrupted();
  ~Uninterrupted();
  Uninterrupted(const Uninterrupted&) = delete;

 private:
  bool before_;
};

bool fusion_on();

// Called when no evaluation follows, while all libraries are whole: what they register with the process as they are
// used is undone before what was registered earlier.
void at_end_of_evaluation(void (*function)());

// Run a plan on computed leaves. Those that were overwritten by the time a kernel raises are lost.
void run_plan(const Plan& plan, std::span<Node* const> leaves, Results results);

// Whether async_eval gives up what this thread computes, because the process ends.
bool background_gives_up();

}  // namespace funcnn
