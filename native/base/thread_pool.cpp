#include "base/thread_pool.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#include <unistd.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

#include "base/cpu_quota.h"
#include "base/error.h"
#include "base/interruption.h"
#include "base/profile.h"

namespace funcnn {
namespace {

thread_local bool inside_parallel_region = false;

using Clock = std::chrono::steady_clock;

void relax() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
  asm volatile("yield");
#endif
}

// Ask again and again, for a while. Whether it came true.
template <class F>
bool spin(Clock::time_point end, F&& came_true) {
  if (came_true()) return true;
  while (Clock::now() < end)
    for (int i = 0; i < 16; ++i) {
      relax();
      if (came_true()) return true;
    }
  return false;
}

// Caches fetch lines of memory in pairs: so far apart lies what different threads write.
constexpr size_t kApart = 128;

// So many threads at most work together.
constexpr int kMostThreads = 256;

// What one parallel_for call hands out: pieces of its work, in one range for each thread that takes part, which takes
// those of its own first and then what others have left. So a thread finds in its cache what it left there in the
// kernel before, and where nobody is late nobody writes to a line of memory that another one reads.
//
// Jobs are used again and never freed. A thread that comes late finds ranges without pieces, or takes one of a later
// job: whoever has taken a piece may read what else is in the job, since it is not over before that piece is.
class Job {
 public:
  // One caller at a time has it. Whether this one does now.
  bool acquire() {
    if (taken_.load(std::memory_order_relaxed) || taken_.exchange(true, std::memory_order_acquire)) return false;
    if (!ranges_) ranges_ = std::make_unique<Range[]>(kMostThreads);
    return true;
  }
  void release() { taken_.store(false, std::memory_order_release); }

  void post(RangeBody body, int64_t count, int64_t pieces, int threads, int worth_waking) {
    body_ = body;
    count_ = count;
    pieces_ = pieces;
    timed_ = profiling();
    helped_.store(0, std::memory_order_relaxed);
    for (Done& done : done_) done.pieces.store(0, std::memory_order_relaxed);
    threads_.store(threads, std::memory_order_relaxed);
    worth_waking_.store(worth_waking, std::memory_order_relaxed);
    for (int r = 0; r < threads; ++r) {
      const auto from = uint64_t(pieces * r / threads), to = uint64_t(pieces * (r + 1) / threads);
      ranges_[size_t(r)].left.store(to << 32 | from, std::memory_order_release);
    }
  }

  // So many take part; the caller is number 0.
  int threads() const { return threads_.load(std::memory_order_relaxed); }
  // And so many of them even if they have to be woken.
  int worth_waking() const { return worth_waking_.load(std::memory_order_relaxed); }
  bool has_left(int range) const { return !is_empty(ranges_[size_t(range)].left.load(std::memory_order_relaxed)); }

  // Somebody has to wake workers for it: whoever takes that on.
  void ask_for_waking(bool asked) { asks_for_waking_.store(asked, std::memory_order_relaxed); }
  bool take_waking() {
    return asks_for_waking_.load(std::memory_order_relaxed) &&
           asks_for_waking_.exchange(false, std::memory_order_relaxed);
  }

  // Take pieces of the thread's own until none is left. Whether there were any.
  bool work_own(int thread) {
    const bool outer = std::exchange(inside_parallel_region, true);
    const bool any = take_all(thread, thread);
    inside_parallel_region = outer;
    return any;
  }
  // Then those of others.
  bool work(int thread) {
    bool any = work_own(thread);
    const bool outer = std::exchange(inside_parallel_region, true);
    for (int threads = this->threads(), i = 1; i < threads; ++i) any |= take_all((thread + i) % threads, thread);
    inside_parallel_region = outer;
    return any;
  }

  // Until all pieces are done, whoever has them.
  void wait(Clock::duration patience) {
    if (is_done()) return;
    // The last pieces of other threads usually end within microseconds.
    if (spin(Clock::now() + patience, [&] { return is_done(); })) return;
    std::unique_lock lock(mutex_);
    waited_for_.store(true);
    finished_.wait(lock, [&] { return is_done(); });
    waited_for_.store(false);
  }

  bool timed() const { return timed_; }
  int64_t helped() const { return helped_.load(std::memory_order_relaxed); }
  std::exception_ptr error() { return std::exchange(error_, nullptr); }

 private:
  // The next piece in the lower half, their end in the upper.
  struct alignas(kApart) Range {
    std::atomic<uint64_t> left{0};
  };
  static bool is_empty(uint64_t left) { return uint32_t(left) >= left >> 32; }
  // By a few threads each.
  struct alignas(kApart) Done {
    std::atomic<int64_t> pieces{0};
  };
  static constexpr int kTogether = 8;

  // Where piece i begins: they differ by no more than one, so that no thread has a whole piece more to do.
  int64_t begin(int64_t i) const { return count_ / pieces_ * i + std::min(i, count_ % pieces_); }

  bool is_done() const {
    int64_t done = 0;
    for (const Done& d : done_) done += d.pieces.load();
    return done == pieces_;
  }

  // Pieces of a range, one by one. Whether there were any.
  bool take_all(int range, int thread) {
    std::atomic<uint64_t>& left = ranges_[size_t(range)].left;
    int64_t done = 0;
    while (!is_empty(left.load(std::memory_order_relaxed))) {
      const uint64_t taken = left.fetch_add(1, std::memory_order_acquire);
      if (is_empty(taken)) break;
      const auto i = int64_t(uint32_t(taken));
      const int64_t start = timed_ && thread != 0 ? steady_now() : 0;
      attempt([&] { (*body_)(begin(i), begin(i + 1)); });
      if (thread == 0 && !attempt(stop_if_asked)) done += abandon();
      if (start) helped_.fetch_add(steady_now() - start, std::memory_order_relaxed);
      ++done;
    }
    if (done == 0) return false;
    // With this the job may be over, and posted again.
    done_[size_t(thread / kTogether) % done_.size()].pieces.fetch_add(done);
    if (waited_for_.load()) {
      std::lock_guard lock(mutex_);
      finished_.notify_all();
    }
    return true;
  }

  // Keep the first error. Whether there was none here.
  template <class F>
  bool attempt(F&& f) {
    try {
      f();
      return true;
    } catch (...) {
      std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
      return false;
    }
  }
  // Nobody takes the pieces that are left. How many they are.
  int64_t abandon() {
    int64_t pieces = 0;
    for (int r = 0, threads = this->threads(); r < threads; ++r) {
      const uint64_t left = ranges_[size_t(r)].left.exchange(0, std::memory_order_relaxed);
      if (!is_empty(left)) pieces += int64_t((left >> 32) - uint32_t(left));
    }
    return pieces;
  }

  // What workers read and, but for the waking, only the caller writes.
  alignas(kApart) std::optional<RangeBody> body_;
  int64_t count_ = 0, pieces_ = 0;
  std::unique_ptr<Range[]> ranges_;
  std::atomic<int> threads_{0}, worth_waking_{0};
  bool timed_ = false;
  std::atomic<bool> asks_for_waking_{false}, waited_for_{false};
  std::array<Done, 4> done_;
  alignas(kApart) std::atomic<bool> taken_{false};
  std::atomic<int64_t> helped_{0};  // nanoseconds of others than the caller
  std::mutex mutex_;
  std::condition_variable finished_;
  std::exception_ptr error_;
};

int usable_cores() {
  int cores = int(std::max(1u, std::thread::hardware_concurrency()));
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cores = std::max(1, CPU_COUNT(&set));
  // Threads beyond a quota use it up early and then stand still together.
  cores = int(std::min<double>(cores, std::max(1.0, std::ceil(cpu_quota()))));
#endif
  return cores;
}

int default_thread_count() {
  if (const char* text = std::getenv("FUNCNN_NUM_THREADS")) {
    int n = std::atoi(text);
    if (n >= 1) return std::min(n, kMostThreads);
  }
  return usable_cores();
}

// How long a thread without work keeps looking for some before it sleeps: waking it takes as long. Threads
// that share a core sleep at once, since they would keep each other from working.
Clock::duration patience_of(int threads) {
  constexpr int kMicroseconds = 50;
  if (threads > usable_cores()) return {};
  const char* text = std::getenv("FUNCNN_SPIN_US");
  return std::chrono::microseconds(text ? std::clamp(std::atoi(text), 0, 1'000'000) : kMicroseconds);
}

// So many pieces of a job for each thread: a thread that is held up keeps the others from little.
constexpr int64_t kPiecesPerThread = 8;

class Pool {
 public:
  explicit Pool(int count) { start(count); }

  int count() const { return count_.load(std::memory_order_relaxed); }

  void resize(int count) {
    std::lock_guard serial(resize_mutex_);
    stop();
    start(count);
  }

  void run(int64_t count, int64_t grain, RangeBody body) {
    const int most = std::min(this->count(), kMostThreads);
    const int64_t worth_waking = std::min<int64_t>(most, blocks(count, grain));
    const int64_t smallest = std::max<int64_t>(1, grain / kSmaller);
    const int64_t threads = std::max(worth_waking, std::min<int64_t>(awake(most), blocks(count, smallest)));
    Job* job = threads <= 1 || inside_parallel_region ? nullptr : free_job();
    if (!job) {
      if (count > 0) body(0, count);
      return;
    }
    job->post(body, count, std::min(blocks(count, smallest), threads * kPiecesPerThread), int(threads),
              int(worth_waking));
    // Where a worker looks for work, it sees to the waking.
    const bool asked = awake(most) < worth_waking;
    job->ask_for_waking(asked);
    posted_.value.fetch_add(1);
    const int looking = awake(most) - 1;
    if (looking == 0 || (!asked && looking < worth_waking - 1)) wake_once_for(*job, true);
    job->work_own(0);
    wake_once_for(*job);
    job->work(0);
    const int64_t waits = job->timed() ? steady_now() : 0;
    job->wait(patience());
    if (job->timed()) help_received() += job->helped() - (steady_now() - waits);
    std::exception_ptr error = job->error();
    job->release();
    if (error) std::rethrow_exception(error);
  }

 private:
  template <class T>
  struct alignas(kApart) Apart {
    std::atomic<T> value{};
  };
  // Where a worker sleeps.
  struct Bed {
    std::mutex mutex;
    std::condition_variable wake;
    bool called = false;
  };
  static constexpr int kBits = 64;
  // Handing work to a thread that looks for it costs less than waking one: so much smaller pieces are worth it.
  static constexpr int64_t kSmaller = 4;
  // A thread that hands out work wakes so many others, and so does each of them.
  static constexpr int kWakes = 4;

  static int64_t blocks(int64_t length, int64_t block) { return (length + block - 1) / block; }
  // So many of the first threads do not sleep, the caller included.
  int awake(int most) const {
    for (int first = 0; first < most; first += kBits)
      if (uint64_t asleep = asleep_[size_t(first / kBits)].value.load())
        return std::min(most, first + std::countr_zero(asleep));
    return most;
  }
  Clock::duration patience() const { return Clock::duration(patience_.load(std::memory_order_relaxed)); }

  void start(int count) {
    stopping_ = false;
    count_ = count;
    patience_ = patience_of(count).count();
    for (auto& asleep : asleep_) asleep.value = 0;
    for (int i = 1; i < std::min(count, kMostThreads); ++i) workers_.emplace_back([this, i] { loop(i); });
  }
  void stop() {
    stopping_ = true;
    posted_.value.fetch_add(1);
    for (size_t i = 1; i <= workers_.size(); ++i) call(i);
    for (auto& worker : workers_) worker.join();
    workers_.clear();
  }

  // Null: other callers have them all.
  Job* free_job() {
    for (size_t i = 0; i < jobs_.size(); ++i) {
      if (!jobs_[i].acquire()) continue;
      size_t used = used_.load();
      while (used <= i && !used_.compare_exchange_weak(used, i + 1)) {
      }
      return &jobs_[i];
    }
    return nullptr;
  }

  void loop(int thread) {
    const auto word = size_t(thread / kBits);
    const uint64_t bit = uint64_t(1) << thread % kBits;
    Clock::time_point patient_until = Clock::now() + patience();
    while (!stopping_) {
      const uint64_t seen = posted_.value.load();
      if (help(thread)) patient_until = Clock::now() + patience();
      if (spin(patient_until, [&] { return posted_.value.load(std::memory_order_acquire) != seen; })) continue;
      asleep_[word].value.fetch_or(bit);
      if (posted_.value.load() != seen) {
        asleep_[word].value.fetch_and(~bit);
        continue;
      }
      sleep(beds_[size_t(thread)]);
      patient_until = Clock::now() + patience();
      for (size_t i = 0, used = used_.load(); i < used; ++i)
        if (jobs_[i].threads() > thread) wake_for(jobs_[i]);
    }
  }
  // Whether there was something to do for this worker.
  bool help(int thread) {
    bool any = false;
    for (size_t i = 0, used = used_.load(); i < used; ++i) {
      if (jobs_[i].threads() <= thread) continue;
      wake_once_for(jobs_[i]);
      any |= jobs_[i].work(thread);
    }
    return any;
  }

  // If nobody has done so; or in any case.
  void wake_once_for(Job& job, bool anyway = false) {
    if (job.take_waking() || anyway) wake_for(job);
  }
  // A few of those that sleep and have a range of this job.
  void wake_for(const Job& job) {
    int wakes = 0;
    for (int first = 0, threads = job.worth_waking(); first < threads; first += kBits) {
      std::atomic<uint64_t>& asleep = asleep_[size_t(first / kBits)].value;
      uint64_t wanted = asleep.load();
      if (threads - first < kBits) wanted &= (uint64_t(1) << (threads - first)) - 1;
      for (; wanted; wanted &= wanted - 1) {
        const int place = std::countr_zero(wanted), thread = first + place;
        const uint64_t bit = uint64_t(1) << place;
        if (!job.has_left(thread) || !(asleep.fetch_and(~bit) & bit)) continue;
        call(size_t(thread));
        if (++wakes == kWakes) return;
      }
    }
  }
  void call(size_t thread) {
    Bed& bed = beds_[thread];
    {
      std::lock_guard lock(bed.mutex);
      bed.called = true;
    }
    bed.wake.notify_one();
  }
  static void sleep(Bed& bed) {
    std::unique_lock lock(bed.mutex);
    bed.wake.wait(lock, [&] { return bed.called; });
    bed.called = false;
  }

  std::array<Job, 8> jobs_;
  std::array<Bed, kMostThreads> beds_;
  Apart<uint64_t> posted_;                                    // jobs so far
  std::array<Apart<uint64_t>, kMostThreads / kBits> asleep_;  // a bit for each worker that sleeps, or is about to
  std::atomic<size_t> used_{0};                               // jobs from there on were never posted
  std::atomic<int> count_{1};
  std::atomic<Clock::rep> patience_{0};
  std::atomic<bool> stopping_{false};
  std::mutex resize_mutex_;
  std::vector<std::thread> workers_;
};

// Never destroyed: workers sleep until the process ends.
Pool& pool(bool forked = false) {
  static Pool* instance = [] {
    auto* created = new Pool(default_thread_count());
#if defined(__unix__) || defined(__APPLE__)
    // After fork only the calling thread exists: begin anew with no workers.
    pthread_atfork(nullptr, nullptr, [] { pool(true); });
#endif
    return created;
  }();
  if (forked) instance = new Pool(1);
  return *instance;
}

}  // namespace

void parallel_for_ranges(int64_t count, int64_t grain, RangeBody body) {
  if (count <= 1 || inside_parallel_region) {
    if (count > 0) body(0, count);
    return;
  }
  pool().run(count, std::max<int64_t>(grain, 1), body);
}

int thread_count() { return pool().count(); }

void set_thread_count(int count) {
  if (count < 1) throw ValueError(cat("set_num_threads: expected at least 1, got ", count));
  pool().resize(count);
}

}  // namespace funcnn
