// From texts to pipelines: several are compiled at once, in the background, and images are kept on disk.
#pragma once

#include <functional>
#include <future>
#include <mutex>
#include <string>
#include <unordered_map>

#include "backends/cuda/driver.h"
#include "backends/cuda/nvrtc.h"
#include "backends/gpu/disk_cache.h"
#include "backends/gpu/machine.h"
#include "base/hash.h"

namespace funcnn::cuda {

class CompiledKernel final : public gpu::Pipeline {
 public:
  CompiledKernel(gpu::Source source, std::shared_future<std::string> image)
      : Pipeline(std::move(source)), image_(std::move(image)) {}
  ~CompiledKernel() override;

  // Waits for the compiler; raises Error with its words.
  const std::string& image() const { return image_.get(); }
  // The function, if it was asked for before.
  Function known_function() const { return function_; }
  // The function in the current context. One thread at a time.
  Function function() {
    if (!function_) load();
    return function_;
  }

 private:
  void load();

  std::shared_future<std::string> image_;
  Module module_ = nullptr;
  Function function_ = nullptr;
};

class Compiler {
 public:
  // `settle` is called before kernels are dropped that may still run.
  Compiler(Target target, std::function<void()> settle);
  Ref<CompiledKernel> kernel(const gpu::Source& source);
  // Drop the kernels that nobody else holds.
  void clear();

 private:
  void clear_locked();
  std::string image_of(const Hash& key, const gpu::Source& source);

  const Target target_;
  const std::function<void()> settle_;
  gpu::DiskCache disk_{"cuda"};
  std::mutex mutex_;
  std::unordered_map<Hash, Ref<CompiledKernel>, HashOfHash> known_;
  size_t clear_at_ = 4096;
};

}  // namespace funcnn::cuda
