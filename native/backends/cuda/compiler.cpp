#include "backends/cuda/compiler.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <thread>

#include "base/error.h"
#include "plan/evaluation.h"
#include "plan/log.h"

#if !defined(_WIN32)
#include <unistd.h>
#endif

namespace funcnn::cuda {
namespace {

#if defined(_WIN32)
int process() { return 0; }
#else
int process() { return int(getpid()); }
#endif

// Threads that compile; they are started when there is work, and waited for before the process ends: the compiler must
// not run while its tables are destroyed, some of which it makes as it runs.
class Crew {
 public:
  static Crew& get() {
    static auto* crew = [] {
      auto* made = new Crew;
      at_end_of_evaluation([] { get().finish(); });
      return made;
    }();
    return *crew;
  }

  void submit(std::function<void()> job) {
    if (process() != process_) return job();  // threads stay behind in a fork
    std::unique_lock lock(mutex_);
    if (finished_) {
      lock.unlock();
      return job();
    }
    jobs_.push_back(std::move(job));
    if (jobs_.size() > idle_ && threads_ < most_) {
      ++threads_;
      std::thread([this] { work(); }).detach();
    } else {
      wake_.notify_one();
    }
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      ++idle_;
      bool any = wake_.wait_for(lock, std::chrono::seconds(2), [this] { return finished_ || !jobs_.empty(); });
      --idle_;
      if (!any || finished_) break;
      auto job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      job = nullptr;
      lock.lock();
    }
    --threads_;
    done_.notify_all();
  }
  void finish() {
    if (process() != process_) return;
    std::unique_lock lock(mutex_);
    finished_ = true;
    jobs_.clear();
    wake_.notify_all();
    done_.wait(lock, [this] { return threads_ == 0; });
  }

  const int process_ = process();
  const size_t most_ = std::clamp<size_t>(std::thread::hardware_concurrency(), 1, 16);
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::deque<std::function<void()>> jobs_;
  size_t threads_ = 0, idle_ = 0;
  bool finished_ = false;
};

}  // namespace

CompiledKernel::~CompiledKernel() {
  if (module_ && !leaving()) driver().unload_module(module_);
}

void CompiledKernel::load() {
  check(driver().load_module(&module_, image().data()), cat("the kernel ", source().name, " cannot be loaded"));
  check(driver().find_function(&function_, module_, source().name.c_str()),
        cat("the kernel ", source().name, " is not in its text"));
}

Compiler::Compiler(Target target, std::function<void()> settle)
    : target_(std::move(target)), settle_(std::move(settle)) {}

Ref<CompiledKernel> Compiler::kernel(const gpu::Source& source) {
  Hasher h;
  h.add(std::string_view(source.name));
  h.add(std::string_view(source.text));
  const Hash key = h.finish();
  std::lock_guard lock(mutex_);
  if (auto it = known_.find(key); it != known_.end()) return it->second;
  if (known_.size() >= clear_at_) {
    clear_locked();
    clear_at_ = std::max<size_t>(4096, 2 * known_.size());
  }
  auto task =
      std::make_shared<std::packaged_task<std::string()>>([this, key, source] { return image_of(key, source); });
  auto kernel = make_ref<CompiledKernel>(source, task->get_future().share());
  known_.emplace(key, kernel);
  Crew::get().submit([task] { (*task)(); });
  return kernel;
}

std::string Compiler::image_of(const Hash& key, const gpu::Source& source) {
  Hasher h;
  h.add(key);
  h.add(std::string_view(target_.architecture));
  h.add(std::string_view(nvrtc_version()));
  const Hash on_disk = h.finish();
  if (auto image = disk_.find(on_disk)) return *std::move(image);
  const auto start = std::chrono::steady_clock::now();
  std::string image = compile(source.name, source.text, target_);
  if (log_enabled("gpu"))
    log_line("gpu", cat("compiled ", source.name, " in ",
                        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), " s"));
  disk_.keep(on_disk, image);
  return image;
}

void Compiler::clear() {
  std::lock_guard lock(mutex_);
  clear_locked();
}

void Compiler::clear_locked() {
  settle_();
  std::erase_if(known_, [](const auto& entry) { return entry.second->use_count() == 1; });
}

}  // namespace funcnn::cuda
