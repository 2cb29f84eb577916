#include "commands.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "../device/checker.h"
#include "../device/clock.h"
#include "../device/options.h"
#include "encoders.h"

namespace software_metal {
namespace {

// The ABI of blocks.
struct BlockLayout {
  struct Descriptor {
    unsigned long reserved, size;
    void (*copy)(void* to, const void* from);  // the last two with kHasCopy only
    void (*dispose)(const void*);
  };
  static constexpr int kHasCopy = 1 << 25;
  void* isa;
  int flags, reserved;
  void (*invoke)(void* block, void* argument);
  const Descriptor* descriptor;
};

const Class& command_buffer_class() {
  using Self = CommandBuffer;
  static const Class* made = [] {
    auto* c = new Class("MTLCommandBuffer", &object_class());
    c->method("commit", [](Self* self, Selector) { self->commit(); });
    c->method("enqueue", [](Self* self, Selector) { self->expect_open("enqueue"); });
    c->method("waitUntilCompleted", [](Self* self, Selector) { self->wait_until_completed(); });
    c->method("addCompletedHandler:", [](Self* self, Selector, const void* block) { self->add_handler(true, block); });
    c->method("addScheduledHandler:", [](Self* self, Selector, const void* block) { self->add_handler(false, block); });
    c->method("status", [](Self* self, Selector) { return Unsigned(self->status()); });
    c->method("error", [](Self* self, Selector) { return self->error(); });
    c->method("GPUStartTime", [](Self* self, Selector) { return self->began(); });
    c->method("GPUEndTime", [](Self* self, Selector) { return self->ended(); });
    c->method("setLabel:", [](Self* self, Selector, String* label) { self->label = text_of(label); });
    c->method("label", [](Self* self, Selector) { return autoreleased(new String(self->label)); });
    add_encoder_methods(*c);
    return c;
  }();
  return *made;
}

const Class& queue_class() {
  static const Class* made = [] {
    auto* c = new Class("MTLCommandQueue", &object_class());
    auto make = [](Queue* self, Selector) { return autoreleased(new CommandBuffer(*self)); };
    c->method("commandBuffer", make);
    c->method("commandBufferWithUnretainedReferences", make);
    c->method("setLabel:", [](Queue* self, Selector, String* label) { self->label = text_of(label); });
    c->method("label", [](Queue* self, Selector) { return autoreleased(new String(self->label)); });
    return c;
  }();
  return *made;
}

const bool registered = (command_buffer_class(), queue_class(), true);

}  // namespace

Block::Block(const void* block) {
  const auto& from = *static_cast<const BlockLayout*>(block);
  copy_ = std::malloc(from.descriptor->size);
  std::memcpy(copy_, block, from.descriptor->size);
  if (from.flags & BlockLayout::kHasCopy) from.descriptor->copy(copy_, block);
}
Block::~Block() {
  if (!copy_) return;
  const auto& block = *static_cast<const BlockLayout*>(copy_);
  if (block.flags & BlockLayout::kHasCopy) block.descriptor->dispose(copy_);
  std::free(copy_);
}
void Block::call(Object* argument) const { static_cast<const BlockLayout*>(copy_)->invoke(copy_, argument); }

// ---- command buffers

CommandBuffer::CommandBuffer(Queue& queue) : Object(command_buffer_class()), queue_(&queue) {}

CommandBuffer::~CommandBuffer() {
  if (encoding_) misuse("a command buffer goes while an encoder of it is open");
}

void CommandBuffer::expect_open(const char* message) const {
  if (status() >= committed) misuse(std::string(message) + " of a command buffer that was committed");
}

void CommandBuffer::begin_encoder(const char* kind) {
  expect_open(kind);
  if (encoding_) misuse(std::string(kind) + " while another encoder of the command buffer is open");
  encoding_ = true;
}
void CommandBuffer::end_encoder() { encoding_ = false; }
void CommandBuffer::add(Interval interval) { intervals_.push_back(std::move(interval)); }

void CommandBuffer::commit() {
  expect_open("commit");
  if (encoding_) misuse("commit of a command buffer while an encoder of it is open");
  {
    std::lock_guard lock(mutex_);
    status_ = committed;
  }
  queue_->submit(this);
}

void CommandBuffer::wait_until_completed() {
  std::unique_lock lock(mutex_);
  if (status_ < committed) misuse("waitUntilCompleted of a command buffer that was not committed");
  changed_.wait(lock, [&] { return handlers_called_; });
}

void CommandBuffer::add_handler(bool on_completion, const void* block) {
  expect_open(on_completion ? "addCompletedHandler:" : "addScheduledHandler:");
  if (!block) misuse("a completion handler of nil");
  (on_completion ? completed_handlers_ : scheduled_handlers_).emplace_back(block);
}

CommandBuffer::Status CommandBuffer::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}
Error* CommandBuffer::error() const {
  std::lock_guard lock(mutex_);
  return error_.get();
}

std::string CommandBuffer::run_interval(Interval& interval) {
  if (interval.step) return interval.step();
  Checker::Interval checked(interval.barrier);
  auto& dispatches = interval.dispatches;
  std::vector<size_t> order(dispatches.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  if (uint32_t random = options().shuffle)
    for (size_t i = order.size(); i > 1; --i) {
      random = random * 1664525u + 1013904223u;
      std::swap(order[i - 1], order[(random >> 8) % i]);
    }
  for (size_t i : order) {
    EncodedDispatch& encoded = dispatches[i];
    const double begin = options().trace ? now() : 0;
    std::string error = run(encoded.dispatch);
    if (options().trace) {
      const Dispatch& d = encoded.dispatch;
      std::fprintf(stderr, "software Metal: %s: %u x %u x %u groups of %u x %u x %u: %.3f ms\n", d.kernel->name,
                   d.groups.x, d.groups.y, d.groups.z, d.size.x, d.size.y, d.size.z, 1e3 * (now() - begin));
    }
    if (!error.empty()) return error;
  }
  return {};
}

void CommandBuffer::execute() {
  Pool pool;
  {
    std::lock_guard lock(mutex_);
    status_ = scheduled;
  }
  for (const Block& handler : scheduled_handlers_) handler.call(this);
  began_ = now();
  std::string error;
  for (Interval& interval : intervals_)
    if (error = run_interval(interval); !error.empty()) break;
  ended_ = now();
  intervals_.clear();  // lets go of what they hold
  {
    std::lock_guard lock(mutex_);
    status_ = error.empty() ? completed : failed;
    if (!error.empty()) error_ = adopt(new Error("MTLCommandBufferErrorDomain", 1, error));
  }
  for (const Block& handler : completed_handlers_) handler.call(this);
  completed_handlers_.clear();
  scheduled_handlers_.clear();
  {
    std::lock_guard lock(mutex_);
    handlers_called_ = true;
  }
  changed_.notify_all();
}

// ---- queues

struct Queue::Line {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Ref<CommandBuffer>> waiting;
  bool closed = false;

  void work() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return closed || !waiting.empty(); });
      if (waiting.empty()) return;
      Ref<CommandBuffer> next = std::move(waiting.front());
      waiting.pop_front();
      lock.unlock();
      next->execute();
      next = {};
      lock.lock();
    }
  }
};

Queue::Queue() : Object(queue_class()), line_(std::make_shared<Line>()) {
  std::thread([line = line_] { line->work(); }).detach();
}
Queue::~Queue() {
  std::lock_guard lock(line_->mutex);
  line_->closed = true;
  line_->changed.notify_all();
}

void Queue::submit(CommandBuffer* commands) {
  std::lock_guard lock(line_->mutex);
  line_->waiting.push_back(commands);
  line_->changed.notify_all();
}

}  // namespace software_metal
