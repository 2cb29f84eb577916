#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
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

#include "base/error.h"
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
bool spin(Clock::duration patience, F&& came_true) {
  if (came_true()) return true;
  if (patience <= Clock::duration::zero()) return false;
  auto end = Clock::now() + patience;
  do {
    for (int i = 0; i < 16; ++i) {
      relax();
      if (came_true()) return true;
    }
  } while (Clock::now() < end);
  return false;
}

// One parallel_for call. Kept alive by every thread that looks at it.
struct Job {
  RangeBody body;
  int64_t count, chunks;
  std::atomic<int64_t> next{0}, done{0};
  std::mutex mutex;
  std::condition_variable finished;
  std::exception_ptr error;
  const bool timed = profiling();
  std::atomic<int64_t> helped{0};  // nanoseconds of others than the caller

  Job(RangeBody body, int64_t count, int64_t chunks) : body(body), count(count), chunks(chunks) {}
  // Where range i begins: they differ by no more than one, so that no thread has a whole range more to do.
  int64_t begin(int64_t i) const { return count / chunks * i + std::min(i, count % chunks); }

  // Take ranges until none is left; `helps`: for another thread.
  void work(bool helps) {
    bool outer = std::exchange(inside_parallel_region, true);
    for (;;) {
      int64_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= chunks) break;
      const int64_t start = timed && helps ? steady_now() : 0;
      try {
        body(begin(i), begin(i + 1));
      } catch (...) {
        std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
      }
      if (timed && helps) helped.fetch_add(steady_now() - start, std::memory_order_relaxed);
      if (done.fetch_add(1, std::memory_order_acq_rel) + 1 == chunks) {
        std::lock_guard lock(mutex);
        finished.notify_all();
      }
    }
    inside_parallel_region = outer;
  }

  void wait(Clock::duration patience) {
    // The last ranges of other threads usually end within microseconds.
    if (spin(patience, [&] { return done.load(std::memory_order_acquire) == chunks; })) return;
    std::unique_lock lock(mutex);
    finished.wait(lock, [&] { return done.load(std::memory_order_acquire) == chunks; });
  }
};

int usable_cores() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return int(std::max(1u, std::thread::hardware_concurrency()));
}

int default_thread_count() {
  if (const char* text = std::getenv("FUNCNN_NUM_THREADS")) {
    int n = std::atoi(text);
    if (n >= 1) return std::min(n, 256);
  }
  return usable_cores();
}

// How long a thread without work keeps looking for some before it sleeps: waking it takes as long. Threads that share
// a core sleep at once, since they would keep each other from working.
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
    int threads = this->count();
    int64_t pieces = std::min<int64_t>((count + grain - 1) / grain, int64_t(threads) * kPiecesPerThread);
    if (pieces <= 1 || threads == 1 || inside_parallel_region) {
      if (count > 0) body(0, count);
      return;
    }
    auto job = std::make_shared<Job>(body, count, pieces);
    int64_t wanted = std::min<int64_t>(threads - 1, job->chunks - 1), asleep;
    {
      std::lock_guard lock(mutex_);
      jobs_.push_back(job);
      posted_.fetch_add(1, std::memory_order_release);
      wanted -= looking_;  // they find it by themselves
      asleep = asleep_;
    }
    if (asleep > 0 && wanted >= asleep)
      wake_.notify_all();
    else
      for (int64_t i = 0; i < std::min(wanted, asleep); ++i) wake_.notify_one();
    job->work(false);
    {
      std::lock_guard lock(mutex_);
      std::erase(jobs_, job);
    }
    const int64_t waits = job->timed ? steady_now() : 0;
    job->wait(patience_);
    if (job->timed) help_received() += job->helped.load(std::memory_order_relaxed) - (steady_now() - waits);
    if (job->error) std::rethrow_exception(job->error);
  }

 private:
  void start(int count) {
    stopping_ = false;
    count_ = count;
    patience_ = patience_of(count);
    for (int i = 1; i < count; ++i) workers_.emplace_back([this] { loop(); });
  }
  void stop() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      posted_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
    workers_.clear();
  }
  void loop() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (auto job = open_job()) {
        lock.unlock();
        job->work(true);
        job.reset();
        lock.lock();
        continue;
      }
      uint64_t seen = posted_.load(std::memory_order_relaxed);
      ++looking_;
      lock.unlock();
      bool more = spin(patience_, [&] { return posted_.load(std::memory_order_acquire) != seen; });
      lock.lock();
      --looking_;
      if (more) continue;
      ++asleep_;
      wake_.wait(lock, [&] { return stopping_ || posted_.load(std::memory_order_relaxed) != seen; });
      --asleep_;
    }
  }
  std::shared_ptr<Job> open_job() {
    for (auto& job : jobs_)
      if (job->next.load(std::memory_order_relaxed) < job->chunks) return job;
    return nullptr;
  }

  std::mutex mutex_, resize_mutex_;
  std::condition_variable wake_;
  std::vector<std::shared_ptr<Job>> jobs_;
  std::vector<std::thread> workers_;
  std::atomic<int> count_{1};
  std::atomic<uint64_t> posted_{0};  // jobs so far
  Clock::duration patience_{};
  int looking_ = 0, asleep_ = 0;  // workers
  bool stopping_ = false;
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
  if (count <= grain || inside_parallel_region) {
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
