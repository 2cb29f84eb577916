// Compiled kernels. Each is compiled at the side from when it is asked for, several at a time, so that a plan waits for
// the slowest of its kernels and not for all in turn.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <unordered_map>

#include "backends/gpu/machine.h"
#include "backends/metal/messages.h"

namespace funcnn::metal {

class MetalPipeline final : public gpu::Pipeline {
 public:
  // The Metal device outlives it.
  MetalPipeline(gpu::Source source, Id device) : Pipeline(std::move(source)), device_(device) {}

  // Return when it is compiled, well or not. Who comes first compiles it.
  void compile();
  // These do so, too, and raise Error with the compiler's words.
  Id state();
  size_t most_threads();

 private:
  Owned compiled() const;

  Id device_;
  std::once_flag once_;
  Owned state_;
  size_t threads_ = 0;
  std::exception_ptr failure_;
};

class Compiler {
 public:
  explicit Compiler(Id device);
  Ref<gpu::Pipeline> pipeline(const gpu::Source& source);
  // The process ends: begin with nothing more, and wait for what is being compiled.
  void finish();

 private:
  void work();

  Id device_;
  const size_t most_workers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_map<std::string, Ref<MetalPipeline>> pipelines_;  // by text
  std::deque<Ref<MetalPipeline>> waiting_;
  size_t workers_ = 0;  // threads, which end when nothing waits
  bool finished_ = false;
};

}  // namespace funcnn::metal
