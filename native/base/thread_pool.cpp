#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
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

#include "base/error.h"

namespace funcnn {
namespace {

thread_local bool inside_parallel_region = false;

// One parallel_for call. Kept alive by every thread that looks at it.
struct Job {
  RangeBody body;
  int64_t count, chunk, chunks;
  std::atomic<int64_t> next{0}, done{0};
  std::mutex mutex;
  std::condition_variable finished;
  std::exception_ptr error;

  Job(RangeBody body, int64_t count, int64_t chunk)
      : body(body), count(count), chunk(chunk), chunks((count + chunk - 1) / chunk) {}

  // Take ranges until none is left.
  void work() {
    bool outer = std::exchange(inside_parallel_region, true);
    for (;;) {
      int64_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= chunks) break;
      try {
        body(i * chunk, std::min(count, (i + 1) * chunk));
      } catch (...) {
        std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
      }
      if (done.fetch_add(1, std::memory_order_acq_rel) + 1 == chunks) {
        std::lock_guard lock(mutex);
        finished.notify_all();
      }
    }
    inside_parallel_region = outer;
  }

  void wait() {
    // The last ranges of other threads usually end within microseconds: look a few times before sleeping.
    for (int i = 0; i < 200; ++i) {
      if (done.load(std::memory_order_acquire) == chunks) return;
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
    std::unique_lock lock(mutex);
    finished.wait(lock, [&] { return done.load(std::memory_order_acquire) == chunks; });
  }
};

int default_thread_count() {
  if (const char* text = std::getenv("FUNCNN_NUM_THREADS")) {
    int n = std::atoi(text);
    if (n >= 1) return std::min(n, 256);
  }
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

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
    int64_t pieces = std::min<int64_t>((count + grain - 1) / grain, int64_t(threads) * 4);
    if (pieces <= 1 || threads == 1 || inside_parallel_region) {
      if (count > 0) body(0, count);
      return;
    }
    auto job = std::make_shared<Job>(body, count, (count + pieces - 1) / pieces);
    {
      std::lock_guard lock(mutex_);
      jobs_.push_back(job);
    }
    int helpers = int(std::min<int64_t>(threads - 1, job->chunks - 1));
    if (helpers == 1) {
      wake_.notify_one();
    } else {
      wake_.notify_all();
    }
    job->work();
    {
      std::lock_guard lock(mutex_);
      std::erase(jobs_, job);
    }
    job->wait();
    if (job->error) std::rethrow_exception(job->error);
  }

 private:
  void start(int count) {
    stopping_ = false;
    count_ = count;
    for (int i = 1; i < count; ++i) workers_.emplace_back([this] { loop(); });
  }
  void stop() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
    workers_.clear();
  }
  void loop() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return stopping_ || open_job(); });
      if (stopping_) return;
      auto job = open_job();
      lock.unlock();
      if (job) job->work();
      job.reset();
      lock.lock();
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
