// The queue of a GPU: one stream, in whose order everything happens. Work waits here until somebody records or waits,
// or until there is much of it: what repeats can then be launched at once.
#pragma once

#include <array>
#include <atomic>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "backends/cuda/driver.h"
#include "backends/cuda/graphs.h"
#include "backends/cuda/work.h"
#include "plan/measured.h"

namespace funcnn::cuda {

class Stream final : public MeasuredQueue {
 public:
  explicit Stream(Context context);

  Ref<Event> record() override;
  void after(const Ref<Event>& event) override;
  // What is timed is put on the stream by itself, and never as a graph with what surrounds it.
  Ref<QueueTime> start_timing() override;
  void stop_timing(QueueTime& time) override;

  Context context() const { return context_; }
  StreamHandle handle() const { return handle_; }

  // Launch a kernel whose parameters `fill(bytes)` writes. Names live until `settle` returns.
  template <class Fill>
  void launch(const Launch& launch, const std::string& name, Fill&& fill) {
    std::lock_guard lock(work_mutex_);
    // Loops come round to where they began, and pieces that are whole rounds repeat.
    if (work_.size() >= kMostWaiting || (work_.size() >= kRound && work_.begins_with(launch))) flush_locked();
    fill(work_.add(launch, name));
    if (blocking_) flush_locked();
  }
  void multiply(const ProductCall& call, const std::string& name);

  // Put on the stream what waits, and do what was left for later.
  void flush();
  // Leave for later what has the driver free something: destructors run anywhere, also under the interpreter's lock,
  // for which tools between us and the driver may wait. It is done in the context, after the work that waits now.
  void later(std::function<void()> act);
  // Do that now. Where work cannot be put on the stream, the next call says so.
  void do_what_waits() noexcept;
  // Say that work called `name` was put on the stream after a flush, with what status.
  void started(Status status, const std::string& name);
  // Return once everything is complete.
  void wait();
  // The same, and forget all kernels.
  void settle();

 private:
  class Moment;
  class Stretch;
  static constexpr size_t kRound = 128, kMostWaiting = 512;

  void flush_locked();
  void remember(const std::string& name);
  EventHandle take_event();
  void give_event(EventHandle event);
  EventHandle take_timing_event();
  void record_now(EventHandle event);
  [[noreturn]] void fail(Status status) const;

  const Context context_;
  const bool blocking_, graphs_allowed_;
  StreamHandle handle_ = nullptr;

  std::mutex work_mutex_;  // taken before the other
  Work work_;
  std::optional<Graphs> graphs_;
  std::exception_ptr pending_;  // an error to tell of

  std::mutex later_mutex_;  // nothing else is taken under it
  std::vector<std::function<void()>> later_;
  std::atomic<bool> anything_later_{false};

  mutable std::mutex mutex_;
  std::vector<EventHandle> events_, timing_events_;  // to be used again
  EventHandle origin_ = nullptr;                     // of times: it was recorded at `origin_time_`
  int64_t origin_time_ = 0;
  Ref<Event> last_;  // what record gave, while nothing was started since
  // What was started last, for errors that show later.
  static constexpr size_t kRemembered = 8;
  std::array<const std::string*, kRemembered> names_{};
  size_t count_ = 0;
};

}  // namespace funcnn::cuda
