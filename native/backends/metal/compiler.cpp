#include "backends/metal/compiler.h"

#include <algorithm>
#include <system_error>
#include <thread>

#include "base/error.h"

namespace funcnn::metal {
namespace {

constexpr size_t kMostPipelines = 4096;
constexpr size_t kMostWorkers = 8;

// The newest language of this system that we know: kernels of users may want it.
Unsigned language_version() {
  const Messages& say = messages();
  Id info = say.process_info(runtime().class_of("NSProcessInfo"));
  if (say.at_least(info, {26, 0, 0}) & 0xff) return 4 << 16;
  if (say.at_least(info, {15, 0, 0}) & 0xff) return kMetal31 + 1;
  return kMetal31;
}

}  // namespace

void MetalPipeline::compile() {
  std::call_once(once_, [&] {
    try {
      Pool pool;
      state_ = compiled();
      threads_ = messages().most_threads(state_.get());
    } catch (...) {
      failure_ = std::current_exception();
    }
  });
}

Id MetalPipeline::state() {
  compile();
  if (failure_) std::rethrow_exception(failure_);
  return state_.get();
}

size_t MetalPipeline::most_threads() {
  state();
  return threads_;
}

Owned MetalPipeline::compiled() const {
  const Messages& say = messages();
  Owned options(say.init(say.alloc(runtime().class_of("MTLCompileOptions"))));
  say.set_language(options.get(), language_version());
  // The modes have the numbers of MTLMathMode; before it there was fast or not.
  if (responds(options.get(), say.set_math_mode.selector()))
    say.set_math_mode(options.get(), Integer(source().math));
  else
    say.set_fast_math(options.get(), source().math != gpu::MathMode::safe);
  const std::string& name = source().name;
  Id error = nullptr;
  Owned library(say.new_library(device_, string_of(source().text), options.get(), &error));
  if (!library) throw Error(cat("gpu: the kernel ", name, " does not compile: ", error_text(error)));
  Owned function(say.new_function(library.get(), string_of(name)));
  if (!function) throw Error(cat("gpu: its source has no kernel called ", name));
  error = nullptr;
  Owned state(say.new_pipeline(device_, function.get(), &error));
  if (!state) throw Error(cat("gpu: the kernel ", name, " does not compile: ", error_text(error)));
  return state;
}

Compiler::Compiler(Id device)
    : device_(device), most_workers_(std::clamp<size_t>(std::thread::hardware_concurrency(), 2, kMostWorkers)) {}

Ref<gpu::Pipeline> Compiler::pipeline(const gpu::Source& source) {
  std::string key = cat(source.name, ' ', int(source.math), '\n', source.text);
  std::lock_guard lock(mutex_);
  if (auto it = pipelines_.find(key); it != pipelines_.end()) return it->second;
  Ref<MetalPipeline> made(new MetalPipeline(source, device_));
  if (pipelines_.size() >= kMostPipelines) pipelines_.clear();
  pipelines_.emplace(std::move(key), made);
  if (finished_) return made;
  waiting_.push_back(made);
  if (workers_ < most_workers_) {
    try {
      std::thread([this] { work(); }).detach();
      ++workers_;
    } catch (const std::system_error&) {  // whoever needs it compiles it
      if (workers_ == 0) waiting_.clear();
    }
  }
  return made;
}

void Compiler::work() {
  std::unique_lock lock(mutex_);
  while (!waiting_.empty()) {
    Ref<MetalPipeline> next = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    next->compile();
    next = {};
    lock.lock();
  }
  --workers_;
  changed_.notify_all();
}

void Compiler::finish() {
  std::unique_lock lock(mutex_);
  finished_ = true;
  waiting_.clear();
  changed_.wait(lock, [&] { return workers_ == 0; });
}

}  // namespace funcnn::metal
