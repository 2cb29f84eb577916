#include "backends/cpu/jit/code_memory.h"

#include <algorithm>

#include "backends/cpu/jit/code_report.h"
#include "backends/cpu/jit/options.h"
#include "base/error.h"
#include "plan/log.h"

#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace funcnn::cpu::jit {
namespace {

constexpr size_t kChunk = 64 * 1024, kAlignment = 64;  // Windows gives no less; a line of the cache

size_t rounded_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace

class CodeMemory::Chunk {
 public:
  Chunk(std::shared_ptr<State> state, std::byte* at, size_t size) : state_(std::move(state)), at_(at), size_(size) {
    state_->mapped += size;
  }
  ~Chunk() {
    state_->pages.unmap(at_, size_);
    state_->mapped -= size_;
  }
  Chunk(const Chunk&) = delete;
  Chunk& operator=(const Chunk&) = delete;

  bool has_room(size_t bytes) const { return bytes <= size_ - used_; }

  size_t write(std::span<const uint8_t> code, std::string name) {
    const size_t offset = used_;
    state_->pages.write(at_ + offset, code);
    if (state_->announce) names_.push_back({offset, code.size(), std::move(name)});
    used_ = std::min(size_, rounded_up(offset + code.size(), kAlignment));
    return offset;
  }

  const void* entry(size_t offset) {
    if (offset < sealed_.load(std::memory_order_acquire)) return at_ + offset;
    std::lock_guard lock(state_->mutex);
    if (offset >= sealed_.load(std::memory_order_relaxed) && !seal()) return nullptr;
    return at_ + offset;
  }

 private:
  struct Named {
    size_t offset, size;
    std::string name;
  };

  // The rest of the last page stays empty.
  bool seal() {
    if (state_->refused) return false;
    const size_t begin = sealed_.load(std::memory_order_relaxed), end = rounded_up(used_, state_->pages.page());
    if (!state_->pages.seal(at_ + begin, end - begin)) {
      state_->refuse("memory to be executed");
      return false;
    }
    used_ = end;
    for (const Named& n : names_) state_->announce(at_ + n.offset, n.size, n.name);
    names_.clear();
    sealed_.store(end, std::memory_order_release);
    return true;
  }

  std::shared_ptr<State> state_;
  std::byte* at_;
  size_t size_, used_ = 0;
  std::atomic<size_t> sealed_{0};  // everything below
  std::vector<Named> names_;       // of what is not sealed
};

void CodeMemory::State::refuse(const char* what) {
  if (!refused.exchange(true) && log_enabled("jit"))
    log_line("jit", cat("the system refuses ", what, ": programs are interpreted from now on"));
}

const void* CodeMemory::Function::entry() const { return chunk_->entry(offset_); }

CodeMemory& CodeMemory::instance() {
  static CodeMemory& it = *[] {
    auto* memory = new CodeMemory(PageSource::system(), options().perf ? &tell_perf : nullptr);  // for good
#if !defined(_WIN32)
    // A child of a fork has its own copy of all pages; it must not inherit a lock that a lost thread holds.
    static CodeMemory* of_process = memory;
    pthread_atfork([] { of_process->state_->mutex.lock(); }, [] { of_process->state_->mutex.unlock(); },
                   [] { of_process->state_->mutex.unlock(); });
#endif
    return memory;
  }();
  return it;
}

std::optional<CodeMemory::Function> CodeMemory::add(std::span<const uint8_t> code, std::string name) {
  if (code.empty()) throw Error("a function without code");
  std::shared_ptr<Chunk> chunk;  // one that is let go of below is unmapped after the lock
  std::lock_guard lock(state_->mutex);
  if (state_->refused) return std::nullopt;
  chunk = state_->open.lock();
  if (!chunk || !chunk->has_room(code.size())) {
    const size_t size = rounded_up(code.size(), std::max(kChunk, state_->pages.page()));
    std::byte* at = state_->pages.map(size);
    if (!at) {
      state_->refuse("memory for machine code");
      return std::nullopt;
    }
    chunk = std::make_shared<Chunk>(state_, at, size);
    state_->open = chunk;
  }
  const size_t offset = chunk->write(code, std::move(name));
  return Function(std::move(chunk), offset, code.size());
}

}  // namespace funcnn::cpu::jit
