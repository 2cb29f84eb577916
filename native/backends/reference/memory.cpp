#include "backends/reference/memory.h"

#include <cstring>
#include <new>
#include <utility>

namespace funcnn::reference {
namespace {

constexpr size_t kMostWaiting = 64;

struct Room {
  size_t size;
  std::byte* bytes;
};

}  // namespace

class LateQueue::Completion final : public Event {
 public:
  explicit Completion(LateQueue& queue) : queue_(&queue) {}
  void wait() override {
    std::lock_guard lock(queue_->mutex_);
    if (!done_) queue_->run_all();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  friend class LateQueue;
  LateQueue* queue_;
  bool done_ = false;
  std::exception_ptr failure_;
};

class LateQueue::Stretch final : public QueueTime {
 public:
  explicit Stretch(LateQueue& queue) : queue_(&queue) {}
  std::optional<std::pair<int64_t, int64_t>> wait() override {
    std::lock_guard lock(queue_->mutex_);
    if (end_ == 0) queue_->run_all();
    return std::pair(begin_, end_ - begin_);
  }

 private:
  friend class LateQueue;
  LateQueue* queue_;
  int64_t begin_ = 0, end_ = 0;
};

void LateQueue::submit(std::function<void()> command) {
  std::lock_guard lock(mutex_);
  commands_.push_back([this, command = std::move(command)] {
    if (failure_) return;
    try {
      command();
    } catch (...) {
      failure_ = std::current_exception();
    }
  });
  if (commands_.size() > kMostWaiting) run_all();
}

Ref<Event> LateQueue::record() {
  std::lock_guard lock(mutex_);
  auto event = make_ref<Completion>(*this);
  commands_.push_back([this, event] {
    event->done_ = true;
    event->failure_ = std::exchange(failure_, nullptr);
  });
  return event;
}

void LateQueue::after(const Ref<Event>& event) {
  std::lock_guard lock(mutex_);
  commands_.push_back([this, before = Ref<Completion>(static_cast<Completion*>(event.get()))] {
    if (!failure_) failure_ = before->failure_;
  });
}

Ref<QueueTime> LateQueue::start_timing() {
  std::lock_guard lock(mutex_);
  auto time = make_ref<Stretch>(*this);
  commands_.push_back([time] { time->begin_ = steady_now(); });
  return time;
}

void LateQueue::stop_timing(QueueTime& time) {
  std::lock_guard lock(mutex_);
  commands_.push_back([time = Ref<Stretch>(static_cast<Stretch*>(&time))] { time->end_ = steady_now(); });
}

void LateQueue::drain() {
  std::lock_guard lock(mutex_);
  run_all();
}

void LateQueue::run_all() {
  while (!commands_.empty()) {
    auto command = std::move(commands_.front());
    commands_.pop_front();
    command();
  }
}

std::byte* HiddenMemory::bytes_of(const Block& block) { return static_cast<Room*>(block.native)->bytes; }

void HiddenMemory::download(const Block& from, size_t offset, size_t bytes, void* to) {
  queue_->drain();
  std::memcpy(to, bytes_of(from) + offset, bytes);
}

void HiddenMemory::upload(const void* from, size_t bytes, const Block& to, size_t offset) {
  queue_->drain();
  std::memcpy(bytes_of(to) + offset, from, bytes);
}

Block HiddenMemory::allocate(size_t capacity) {
  auto* bytes = static_cast<std::byte*>(::operator new(capacity, std::align_val_t(64), std::nothrow));
  if (!bytes) return {};
  // Nothing may rely on fresh memory holding zeros.
  std::memset(bytes, 0xa5, capacity);
  return {nullptr, new Room{capacity, bytes}};
}

// Commands keep the buffers they use, so nothing that is still to run can need the block.
void HiddenMemory::release(Block block, size_t /*capacity*/) {
  auto* room = static_cast<Room*>(block.native);
  ::operator delete(room->bytes, std::align_val_t(64));
  delete room;
}

}  // namespace funcnn::reference
