// Profiles: which kernels ran, and what else took time, while somebody looked. Where nobody does, asking for that is
// one relaxed load.
//
// A recorder sees what begins while it is open, on any thread, and what `async_eval` was asked for meanwhile, whenever
// that runs. Times are nanoseconds of the steady clock.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/device.h"
#include "base/ref.h"

namespace funcnn {

inline std::atomic<bool> profiling_on{false};
inline bool profiling() { return profiling_on.load(std::memory_order_relaxed); }

int64_t steady_now();
// Of the calling thread: how long others worked for it, less how long it waited for them, summed up while profiling.
int64_t& help_received();

// A kernel as people know it.
struct KernelInfo {
  const char* kind = "program";  // program, primitive, control, transfer
  std::string name;              // as a plan shows it
  std::string operands;          // shapes and dtypes
  std::string program;           // of what is fused
  std::string device;
  double bytes = 0, flops = 0;  // of one run, without what runs inside
};

// A stretch of a device's queue, measured by the device.
class QueueTime : public RefCounted {
 public:
  virtual ~QueueTime() = default;
  // Begin and length in nanoseconds, once it is complete; none where it could not be measured.
  virtual std::optional<std::pair<int64_t, int64_t>> wait() = 0;
};

enum class Clock : uint8_t {
  run,     // the host's, around a kernel that runs on it
  queue,   // the device's
  launch,  // the host's, around the launch of a kernel whose device does not measure
};

// One run of a kernel.
struct KernelRun {
  int kernel;  // number among the recorder's
  int thread;
  int64_t begin, length;
  int64_t own;   // without the kernels inside
  int64_t busy;  // of all threads, without those
  Clock clock;
};

// Anything else that takes time.
struct SpanRun {
  const char* kind;  // trace, plan, evaluate, call
  std::string name;
  int thread;
  int64_t begin, length;
};

// All runs of one kernel.
struct KernelTotals {
  std::shared_ptr<const KernelInfo> info;
  uint64_t calls = 0;
  int64_t total = 0, own = 0, busy = 0, least = 0, median = 0;
  Clock clock = Clock::run;
};

class Recorder {
 public:
  // What is kept one by one; beyond that there are sums only.
  static constexpr size_t kMostRuns = size_t(1) << 20, kMostSpans = size_t(1) << 17;

  struct Content {
    std::vector<KernelTotals> kernels;  // those of equal description are one
    std::vector<KernelRun> runs;        // in the order in which they ended
    std::vector<SpanRun> spans;
    uint64_t left_out = 0;  // runs and spans beyond what is kept
    int64_t begin = 0, end = 0;
  };

  static std::shared_ptr<Recorder> open();
  // Once.
  void close();
  // Wait, so long at most, for work that was asked for meanwhile and is done elsewhere; false: there is more of it.
  bool wait_for_asked(std::chrono::milliseconds patience) const;
  // Take the times of the queues, which is waited for. Under the evaluation lock.
  void settle();
  // What has ended so far; what queues measure, as far as it is settled.
  Content content() const;

  Recorder();
  ~Recorder();

 private:
  friend class LaunchTimer;
  friend class TimedSpan;
  friend class AskedFor;
  struct State;
  std::unique_ptr<State> state_;
};

// The run of a kernel, from here to `done`. One that fails is not recorded.
class LaunchTimer {
 public:
  explicit LaunchTimer(std::shared_ptr<const KernelInfo> info);
  ~LaunchTimer();
  LaunchTimer(const LaunchTimer&) = delete;
  // `queue`: how long it takes there.
  void done(Clock clock, Ref<QueueTime> queue = {});

 private:
  std::vector<std::shared_ptr<Recorder>> seen_by_;
  std::shared_ptr<const KernelInfo> info_;
  LaunchTimer* outer_;
  int64_t begin_, help_, inside_ = 0, busy_inside_ = 0;
};

// A span from here to the end of its scope, if it has got a name by then.
class TimedSpan {
 public:
  explicit TimedSpan(const char* kind);
  ~TimedSpan();
  TimedSpan(const TimedSpan&) = delete;
  explicit operator bool() const { return !seen_by_.empty(); }
  void name(std::string name) { name_ = std::move(name); }

 private:
  std::vector<std::shared_ptr<Recorder>> seen_by_;
  const char* kind_;
  std::string name_;
  int64_t begin_ = 0;
};

// Work that is asked for now and done later: the recorders that are open now see it.
class AskedFor {
 public:
  AskedFor();
  AskedFor(AskedFor&&) noexcept = default;
  AskedFor& operator=(AskedFor&&) = delete;
  ~AskedFor();

  // While it lives, this thread does the work.
  class Doing {
   public:
    explicit Doing(const AskedFor& asked);
    ~Doing();
    Doing(const Doing&) = delete;

   private:
    const std::vector<std::shared_ptr<Recorder>>* before_;
  };

 private:
  std::vector<std::shared_ptr<Recorder>> recorders_;
};

// Around a fork: no thread may be inside a recorder. In the child, work that was asked for never comes.
void lock_profiles();
void unlock_profiles();
void forget_asked_work();

}  // namespace funcnn
