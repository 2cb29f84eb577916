#include "dispatch.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "checker.h"
#include "group_runner.h"
#include "options.h"
#include "signals.h"
#include "workers.h"

namespace software_metal {
namespace {

constexpr size_t kKeptErrors = 8;
// Fewer threads than these are not worth waking another worker.
constexpr unsigned kThreadsWorthSharing = 4096;

void run_groups(Progress& progress) {
  // Runners keep their stacks and memory for the next dispatch on this worker.
  thread_local std::unique_ptr<GroupRunner> runner = [] {
    catch_faults();
    return std::make_unique<GroupRunner>();
  }();
  for (unsigned n; !progress.stopped && (n = progress.next++) < progress.total;)
    runner->run(progress, progress.place(n));
}

std::string number(uint64_t value) { return std::to_string(value); }

std::mutex names_mutex;
std::set<std::string> names;  // of the kernels that ran

}  // namespace

Progress::Progress(const Dispatch& dispatch)
    : dispatch(dispatch), total(dispatch.groups.x * dispatch.groups.y * dispatch.groups.z) {
  if (unsigned seed = options().shuffle) {
    order_.resize(total);
    for (unsigned i = 0; i < total; ++i) order_[i] = i;
    for (unsigned i = total; i > 1; --i) {
      seed = seed * 1664525u + 1013904223u;
      std::swap(order_[i - 1], order_[(seed >> 8) % i]);
    }
  }
}

void Progress::fail(const std::string& what) {
  std::lock_guard lock(mutex_);
  if (errors_.size() < kKeptErrors) errors_.push_back(what);
}

std::string Progress::errors() {
  std::string all;
  for (const std::string& error : errors_) all += (all.empty() ? "" : "\n") + error;
  return all;
}

std::string run(const Dispatch& dispatch) {
  Progress progress(dispatch);
  {
    std::lock_guard lock(names_mutex);
    names.insert(dispatch.kernel->name);
  }
  if (options().check) Checker::instance().begin_dispatch(dispatch);
  const Extent& size = dispatch.size;
  uint64_t threads = uint64_t(progress.total) * size.x * size.y * size.z;
  // The checker's books are kept by one.
  if (options().check || progress.total == 1 || threads < kThreadsWorthSharing)
    run_groups(progress);
  else
    Workers::instance().run([&] { run_groups(progress); });
  return progress.errors();
}

std::string refusal(const Dispatch& dispatch) {
  if (!dispatch.kernel) return "no compute pipeline state is set";
  const Kernel& kernel = *dispatch.kernel;
  const std::string where = std::string("kernel ") + kernel.name + ": ";
  const Extent &size = dispatch.size, &groups = dispatch.groups;
  const uint64_t threads = uint64_t(size.x) * size.y * size.z;
  if (!threads || !(uint64_t(groups.x) * groups.y * groups.z)) return where + "a dispatch of no threads";
  const unsigned most = kernel.most_threads ? std::min(kernel.most_threads, kMostThreads) : kMostThreads;
  if (threads > most) return where + "a threadgroup of " + number(threads) + " threads, at most " + number(most);
  if (uint64_t(groups.x) * groups.y * groups.z > 0xffffffffu) return where + "more than 2^32 threadgroups";
  size_t shared = 0;
  for (size_t length : dispatch.shared) shared += length;
  if (shared > kSharedBytes)
    return where + "threadgroup memory of " + number(shared) + " bytes, at most " + number(kSharedBytes);
  for (unsigned i = 0; i < kernel.parameter_count; ++i) {
    const Parameter& parameter = kernel.parameters[i];
    const std::string index = number(parameter.index);
    if (parameter.kind == Parameter::buffer) {
      const Bound& bound = dispatch.buffers[parameter.index];
      if (!bound.address) return where + "buffer(" + index + ") is not bound";
      if (parameter.reference && bound.size < parameter.size)
        return where + "buffer(" + index + ") has " + number(bound.size) + " bytes, its parameter " +
               number(parameter.size);
    }
    if (parameter.kind == Parameter::shared && !dispatch.shared[parameter.index])
      return where + "threadgroup(" + index + ") has no length";
  }
  return {};
}

}  // namespace software_metal

// The names of the kernels that this process ran, one a line; until the next call.
extern "C" __attribute__((visibility("default"))) const char* software_metal_kernels() {
  using namespace software_metal;
  static std::string lines;
  std::lock_guard lock(names_mutex);
  lines.clear();
  for (const std::string& name : names) lines += name + '\n';
  return lines.c_str();
}
