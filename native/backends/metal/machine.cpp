#include "backends/metal/machine.h"

#include "base/error.h"

#if !defined(_WIN32)
#include <unistd.h>
#endif

namespace funcnn::metal {
namespace {

constexpr size_t kMostPipelines = 4096;

// Cores are nowhere told. The last letter of an architecture says how large the chip is.
uint32_t cores_of(const std::string& architecture) {
  switch (architecture.empty() ? 'g' : architecture.back()) {
    case 'p':
      return 5;
    case 's':
      return 18;
    case 'c':
      return 36;
    case 'd':
      return 72;
    default:
      return 9;
  }
}

// The device shares it.
size_t system_memory() {
#if defined(_SC_PHYS_PAGES) && defined(_SC_PAGESIZE)
  return size_t(sysconf(_SC_PHYS_PAGES)) * size_t(sysconf(_SC_PAGESIZE));
#else
  return 0;
#endif
}

gpu::Traits traits_of(Id device) {
  const Messages& say = messages();
  Pool pool;
  gpu::Traits traits;
  traits.language = gpu::Language::metal;
  traits.name = text_of(say.name(device));
  if (responds(device, say.architecture.selector()))
    if (Id architecture = say.architecture(device)) traits.architecture = text_of(say.name(architecture));
  if (traits.architecture.empty()) traits.architecture = "applegpu";
  traits.unified = (say.unified(device) & 0xff) != 0;
  traits.shared_bytes = size_t(say.shared_bytes(device));
  traits.cores = cores_of(traits.architecture);
  traits.working_set = size_t(say.working_set(device));
  traits.largest_buffer = size_t(say.largest_buffer(device));
  traits.memory_bytes = system_memory();
  return traits;
}

// The newest language of this system that we know: kernels of users may want it.
Unsigned language_version() {
  const Messages& say = messages();
  Id info = say.process_info(runtime().class_of("NSProcessInfo"));
  if (say.at_least(info, {26, 0, 0}) & 0xff) return 4 << 16;
  if (say.at_least(info, {15, 0, 0}) & 0xff) return kMetal31 + 1;
  return kMetal31;
}

}  // namespace

MetalMachine::MetalMachine(Device device, Owned metal_device)
    : device_(std::move(metal_device)),
      traits_(traits_of(device_.get())),
      queue_(device_.get()),
      memory_(device, device_.get(), queue_) {}

Ref<gpu::Pipeline> MetalMachine::pipeline(const gpu::Source& source) {
  check_not_forked();
  std::lock_guard lock(mutex_);
  std::string key = cat(source.name, ' ', int(source.math), '\n', source.text);
  if (auto it = pipelines_.find(key); it != pipelines_.end()) return it->second;
  Ref<gpu::Pipeline> made(new MetalPipeline(source, compile(source)));
  if (pipelines_.size() >= kMostPipelines) pipelines_.clear();
  pipelines_.emplace(std::move(key), made);
  return made;
}

Owned MetalMachine::compile(const gpu::Source& source) {
  const Messages& say = messages();
  Pool pool;
  Owned options(say.init(say.alloc(runtime().class_of("MTLCompileOptions"))));
  say.set_language(options.get(), language_version());
  // The modes have the numbers of MTLMathMode; before it there was fast or not.
  if (responds(options.get(), say.set_math_mode.selector()))
    say.set_math_mode(options.get(), Integer(source.math));
  else
    say.set_fast_math(options.get(), source.math != gpu::MathMode::safe);
  Id error = nullptr;
  Owned library(say.new_library(device_.get(), string_of(source.text), options.get(), &error));
  if (!library) throw Error(cat("gpu: the kernel ", source.name, " does not compile: ", error_text(error)));
  Owned function(say.new_function(library.get(), string_of(source.name)));
  if (!function) throw Error(cat("gpu: its source has no kernel called ", source.name));
  error = nullptr;
  Owned state(say.new_pipeline(device_.get(), function.get(), &error));
  if (!state) throw Error(cat("gpu: the kernel ", source.name, " does not compile: ", error_text(error)));
  return state;
}

}  // namespace funcnn::metal
