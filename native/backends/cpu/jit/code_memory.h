// Memory for machine code. Functions are written into pages that cannot be executed; the pages are sealed, which takes
// the right to write from them for good, when a function on them is first asked for. So those compiled one after
// another share pages, and no page is ever writable and executable at once.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace funcnn::cpu::jit {

// What the system does. Anything may be refused: by the rules of a sandbox or for want of memory.
class PageSource {
 public:
  virtual ~PageSource() = default;
  virtual size_t page() const = 0;                                        // bytes, a power of two
  virtual std::byte* map(size_t size) = 0;                                // writable; null: refused
  virtual void write(std::byte* to, std::span<const uint8_t> bytes) = 0;  // into what is not sealed
  virtual bool seal(std::byte* at, size_t size) = 0;                      // whole pages; false: refused
  virtual void unmap(std::byte* at, size_t size) = 0;

  static PageSource& system();
};

// Who is told where the functions of sealed pages lie.
using Announce = void (*)(const void* at, size_t size, const std::string& name);

class CodeMemory {
  class Chunk;

 public:
  // Keeps a function alive. Any thread may ask.
  class Function {
   public:
    // Where it starts, at a multiple of 64 bytes. Null where the system refuses: then programs are interpreted.
    const void* entry() const;
    template <class F>
    F* as() const {
      return reinterpret_cast<F*>(const_cast<void*>(entry()));
    }
    size_t size() const { return size_; }

   private:
    friend CodeMemory;
    Function(std::shared_ptr<Chunk> chunk, size_t offset, size_t size)
        : chunk_(std::move(chunk)), offset_(offset), size_(size) {}
    std::shared_ptr<Chunk> chunk_;
    size_t offset_, size_;
  };

  explicit CodeMemory(PageSource& pages, Announce announce = nullptr)
      : state_(std::make_shared<State>(pages, announce)) {}

  // That of the process, which tells perf where FUNCNN_JIT asks for it.
  static CodeMemory& instance();

  // Nothing where the system refuses; it is not asked again then.
  std::optional<Function> add(std::span<const uint8_t> code, std::string name);

  size_t mapped_bytes() const { return state_->mapped.load(std::memory_order_relaxed); }

 private:
  // Outlives this while functions do.
  struct State {
    State(PageSource& p, Announce a) : pages(p), announce(a) {}
    void refuse(const char* what);

    PageSource& pages;
    const Announce announce;
    std::mutex mutex;  // held while pages are written, sealed and handed out
    std::weak_ptr<Chunk> open;
    std::atomic<size_t> mapped{0};
    std::atomic<bool> refused{false};
  };

  std::shared_ptr<State> state_;
};

}  // namespace funcnn::cpu::jit
