// Evaluation on a background thread, and what forks and the end of the process do to evaluations.
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/profile.h"
#include "graph/trace.h"
#include "plan/backend.h"
#include "plan/eval.h"
#include "plan/evaluation.h"

namespace funcnn {
namespace {

class Background {
 public:
  void submit(Arrays arrays) {
    AskedFor asked;
    std::unique_lock lock(mutex_);
    if (ending_) {
      lock.unlock();
      return eval(arrays);
    }
    if (!worker_.joinable()) worker_ = std::thread([this] { loop(); });
    queue_.push_back({std::move(arrays), std::move(asked)});
    wake_.notify_one();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    while (!idle_.wait_for(lock, kPatience, [&] { return queue_.empty() && !busy_; })) check_interrupt();
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

  void end() {
    std::deque<Task> dropped;
    {
      std::lock_guard lock(mutex_);
      ending_ = true;
      dropped.swap(queue_);
    }
    wake_.notify_one();
    if (worker_.joinable()) worker_.join();
  }
  std::mutex& mutex() { return mutex_; }
  bool gives_up() const { return ending_ && std::this_thread::get_id() == worker_.get_id(); }

 private:
  struct Task {
    Arrays arrays;
    AskedFor asked;
  };
  void loop() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return ending_ || !queue_.empty(); });
      if (ending_) return;
      std::optional<Task> task(std::move(queue_.front()));
      queue_.pop_front();
      busy_ = true;
      lock.unlock();
      std::exception_ptr error;
      try {
        AskedFor::Doing doing(task->asked);
        eval(task->arrays);
      } catch (...) {
        error = std::current_exception();
      }
      task.reset();
      lock.lock();
      busy_ = false;
      if (error && !error_) error_ = error;
      if (queue_.empty()) idle_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  std::deque<Task> queue_;
  std::thread worker_;
  std::exception_ptr error_;
  bool busy_ = false;
  std::atomic<bool> ending_{false};
};

Background& background(bool forked = false) {
  static auto* instance = new Background;
  // The child of a fork has no thread that would go on.
  if (forked) instance = new Background;
  return *instance;
}

struct Endings {
  std::mutex mutex;
  std::vector<void (*)()> functions;
};
Endings& endings() {
  static auto* all = new Endings;
  return *all;
}

}  // namespace

bool background_gives_up() { return background().gives_up(); }

void async_eval(Span arrays) {
  Arrays pending;
  for (const Array& a : arrays) {
    if (!a || a.node()->available()) continue;
    if (a.node()->abstract) throw_traced_value(*a.node(), "async_eval");
    pending.push_back(a);
  }
  if (!pending.empty()) background().submit(std::move(pending));
}

void synchronize() {
  background().wait();
  wait_for_devices();
}

void before_fork() {
  evaluation_lock().release();
  background().mutex().lock();
  past_mutex().lock();
  lock_profiles();
  lock_memory();
}

void after_fork(bool in_child) {
  unlock_memory();
  unlock_profiles();
  past_mutex().unlock();
  background().mutex().unlock();
  if (!in_child) {
    evaluation_mutex().unlock();
    return;
  }
  renew_evaluation_mutex();
  background(true);
  forget_asked_work();
}

void at_end_of_evaluation(void (*function)()) {
  std::lock_guard lock(endings().mutex);
  endings().functions.push_back(function);
}

void end_evaluation() {
  background().end();
  // Never given back: threads that outlive the interpreter must not compute while its modules are torn down.
  evaluation_mutex().lock();
  std::lock_guard lock(endings().mutex);
  for (auto* function : endings().functions) function();
}

}  // namespace funcnn
