#include "backends/metal/queue.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <string_view>

#include "backends/metal/compiler.h"
#include "base/error.h"
#include "plan/eval.h"

#if !defined(_WIN32)
#include <pthread.h>
#endif
#if defined(__APPLE__)
#include <time.h>
#endif

namespace funcnn::metal {
namespace {

// When a command buffer is worth its overhead.
constexpr size_t kMostLaunches = 40;
constexpr size_t kMostBytes = size_t(40) << 20;
// So many committed ones keep the device busy; work beyond them waits to be sent together.
constexpr size_t kEnoughUnderWay = 2;
// Metal lets 64 exist; asking for more would wait while the lock is held.
constexpr size_t kMostUnderWay = 48;
constexpr size_t kMostOperands = 30;  // of 31 buffers, one holds the values
constexpr auto kPatience = std::chrono::milliseconds(50);

std::atomic<bool> in_child{false};

// What Metal's clock shows now, in nanoseconds: on a Mac it stands still while the machine sleeps.
int64_t metal_now() {
#if defined(__APPLE__)
  return int64_t(clock_gettime_nsec_np(CLOCK_UPTIME_RAW));
#else
  return steady_now();
#endif
}

// What the compiler makes of ^(id<MTLCommandBuffer> buffer) { commands->complete(buffer); }.
struct CompletionBlock {
  struct Descriptor {
    unsigned long reserved, size;
  };
  void* isa;
  int flags;
  int reserved;
  void (*invoke)(CompletionBlock* self, Id buffer);
  const Descriptor* descriptor;
  Commands* commands;  // holds a reference
};

void call_completion(CompletionBlock* self, Id buffer) {
  Ref<Commands> commands(self->commands);
  (void)self->commands->release();  // never the last one: `commands` holds another
  commands->complete(buffer);
}

constexpr CompletionBlock::Descriptor kDescriptor{0, sizeof(CompletionBlock)};

void call_on_completion(Commands& commands) {
  commands.retain();
  CompletionBlock block{runtime().block_class, 0, 0, call_completion, &kDescriptor, &commands};
  messages().on_completion(commands.buffer.get(), &block);  // copies it
}

// Calls f(buffer, only_read) for what a launch reads or writes.
template <class F>
void each_buffer(const gpu::Launch& launch, F&& f) {
  for (size_t i = 0; i < launch.operands.size(); ++i)
    if (Buffer* buffer = launch.operands[i].buffer) f(*buffer, i < launch.read_only);
  for (size_t i = 0; i < launch.reached.size(); ++i)
    if (Buffer* buffer = launch.reached[i].buffer) f(*buffer, i < launch.reached_read_only);
}

}  // namespace

bool forked() { return in_child.load(std::memory_order_relaxed); }
void check_not_forked() {
  if (forked())
    throw Error(
        "gpu: Metal cannot be used in a process that was forked from one that used it; start processes with "
        "multiprocessing's \"spawn\" method");
}

// ---- Commands

void Commands::wait() {
  std::unique_lock lock(mutex_);
  while (!done_) {
    if (changed_.wait_for(lock, kPatience) != std::cv_status::timeout) continue;
    lock.unlock();
    check_interrupt();
    lock.lock();
  }
}
bool Commands::done() {
  std::lock_guard lock(mutex_);
  return done_;
}
std::exception_ptr Commands::failure() {
  std::lock_guard lock(mutex_);
  return failure_;
}

void Commands::add_kernel(const gpu::Pipeline* pipeline) {
  std::lock_guard lock(mutex_);
  if (kernels_.empty() || kernels_.back().get() != pipeline) kernels_.emplace_back(pipeline);
}

void Commands::complete(Id completed) {
  Pool pool;
  std::exception_ptr failed;
  std::vector<Ref<const gpu::Pipeline>> kernels;
  {
    std::lock_guard lock(mutex_);
    kernels.swap(kernels_);
  }
  if (Id error = messages().error(completed); error || messages().status(completed) == kStatusError) {
    std::vector<std::string_view> names;
    std::string listed;
    for (const auto& kernel : kernels) {
      std::string_view name = kernel->source().name;
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      listed += cat(names.empty() ? "" : ", ", name);
      names.push_back(name);
    }
    failed = std::make_exception_ptr(Error(cat("gpu: ", names.size() == 1 ? "the kernel " : "one of the kernels ",
                                               listed, " failed: ", error_text(error))));
  }
  std::lock_guard lock(mutex_);
  if (timed) {
    began_ = messages().began(completed);
    ended_ = messages().ended(completed);
  }
  failure_ = failed;
  done_ = true;
  changed_.notify_all();
}

// ---- events

class MetalQueue::Completion final : public Event {
 public:
  Completion(MetalQueue& queue, uint64_t number, std::vector<Ref<Commands>> blamed)
      : queue_(queue), number_(number), blamed_(std::move(blamed)) {}
  void wait() override {
    queue_.wait_for_command_buffer(number_);
    for (const auto& commands : blamed())
      if (std::exception_ptr failure = commands->failure()) std::rethrow_exception(failure);
  }
  // Those that may have failed.
  std::vector<Ref<Commands>> blamed() {
    std::lock_guard lock(mutex_);
    std::erase_if(blamed_, [](const Ref<Commands>& c) { return c->done() && !c->failure(); });
    return blamed_;
  }

 private:
  MetalQueue& queue_;
  uint64_t number_;
  std::mutex mutex_;
  std::vector<Ref<Commands>> blamed_;
};

// ---- times

std::optional<std::pair<int64_t, int64_t>> MetalQueue::Stretch::wait() {
  double began = 0, ended = 0;
  for (const auto& each : commands) {
    each->wait();
    if (each->failure()) return std::nullopt;
    began = began == 0 ? each->began() : std::min(began, each->began());
    ended = std::max(ended, each->ended());
  }
  if (began == 0) return std::nullopt;  // nothing was launched, or Metal does not say
  return std::pair(int64_t(began * 1e9) + steady_now() - metal_now(), int64_t((ended - began) * 1e9));
}

Ref<QueueTime> MetalQueue::start_timing() {
  check_not_forked();
  Pool pool;
  Lock lock(mutex_);
  commit(lock);
  timing_ = make_ref<Stretch>();
  return timing_;
}

void MetalQueue::stop_timing(QueueTime&) {
  Pool pool;
  Lock lock(mutex_);
  commit(lock);
  timing_ = nullptr;
}

// ---- the queue

MetalQueue::MetalQueue(Id device)
    : queue_(messages().new_queue(device)), checks_lengths_(responds(device, messages().checks_lengths.selector())) {
  if (!queue_) throw Error("gpu: Metal gives no command queue");
#if !defined(_WIN32)
  pthread_atfork(nullptr, nullptr, [] { in_child.store(true, std::memory_order_relaxed); });
#endif
}

Commands& MetalQueue::open(Lock& lock, std::vector<Ref<Buffer>>& kept) {
  if (open_) return *open_;
  while (under_way_.size() >= kMostUnderWay) {
    Ref<Commands> first = under_way_.front();
    lock.unlock();
    first->wait();
    lock.lock();
    prune(lock, kept);
    if (open_) return *open_;
  }
  const Messages& say = messages();
  Id buffer = say.command_buffer(queue_.get());
  Id encoder = buffer ? say.encoder(buffer, kConcurrent) : nullptr;
  if (!encoder) throw Error("gpu: Metal gives no command buffer");
  open_ = make_ref<Commands>(++numbers_, buffer, encoder);
  under_way_.push_back(open_);
  if (timing_) {
    open_->timed = true;
    timing_->commands.push_back(open_);
  }
  ++barriers_;  // nothing of it has touched anything yet
  return *open_;
}

void MetalQueue::commit(Lock&) {
  if (!open_) return;
  const Messages& say = messages();
  say.end(open_->encoder.get());
  open_->encoder = Owned();
  open_->committed = true;
  call_on_completion(*open_);
  say.commit(open_->buffer.get());
  open_ = nullptr;
}

void MetalQueue::prune(Lock&, std::vector<Ref<Buffer>>& kept) {
  while (!under_way_.empty() && under_way_.front()->committed && under_way_.front()->done()) {
    Commands& first = *under_way_.front();
    kept.insert(kept.end(), std::make_move_iterator(first.kept.begin()), std::make_move_iterator(first.kept.end()));
    first.kept.clear();
    first.resident.clear();
    first.buffer = Owned();
    under_way_.pop_front();
  }
}

bool MetalQueue::conflicts(const gpu::Launch& launch, uint64_t number) {
  bool waits = false;
  each_buffer(launch, [&](Buffer& buffer, bool only_read) {
    Room& room = room_of(buffer.block());
    waits |= room.written_since == barriers_ || (!only_read && room.read_since == barriers_);
  });
  if (waits) ++barriers_;
  each_buffer(launch, [&](Buffer& buffer, bool only_read) {
    Room& room = room_of(buffer.block());
    (only_read ? room.read_since : room.written_since) = barriers_;
    room.last_use.store(number, std::memory_order_release);
    if (!only_read) room.last_write.store(number, std::memory_order_release);
  });
  return waits;
}

void MetalQueue::make_resident(Commands& to, const gpu::Launch& launch) {
  const Messages& say = messages();
  for (size_t i = 0; i < launch.reached.size(); ++i) {
    Buffer* buffer = launch.reached[i].buffer;
    Room& room = room_of(buffer->block());
    const unsigned use = unsigned(i < launch.reached_read_only ? kUsageRead : kUsageRead | kUsageWrite);
    to.bytes += buffer->size();
    if (!buffer->owned()) to.kept.emplace_back(buffer);
    if (checks_lengths_) say.set_used_length(room.buffer.get(), Unsigned(buffer->size()));
    const bool known = room.resident_in == to.number;
    if (known && (room.resident_for & use) == use && !checks_lengths_) continue;
    // Only what is bound is kept by the command buffer.
    if (!known) to.resident.push_back(Owned::retained(room.buffer.get()));
    room.resident_in = to.number;
    room.resident_for = known ? room.resident_for | use : use;
    say.use_resource(to.encoder.get(), room.buffer.get(), room.resident_for);
  }
}

void MetalQueue::bind(Commands& to, const gpu::Launch& launch) {
  const Messages& say = messages();
  Id encoder = to.encoder.get();
  Unsigned index = 0;
  for (const Operand& operand : launch.operands) {
    if (operand.buffer) {
      Id buffer = room_of(operand.buffer->block()).buffer.get();
      if (checks_lengths_) say.set_used_length(buffer, Unsigned(operand.buffer->size()));
      say.set_buffer(encoder, buffer, Unsigned(operand.offset), index);
      to.bytes += operand.buffer->size();
      if (!operand.buffer->owned()) to.kept.emplace_back(operand.buffer);
    } else {
      say.set_bytes(encoder, operand.scalar, 8, index);
    }
    ++index;
  }
  if (launch.values.empty()) return;
  // A structure is bound whole, with the padding at its end.
  alignas(16) std::byte values[4096];
  size_t bytes = (launch.values.size() + 7) / 8 * 8;
  std::memset(values + bytes - 8, 0, 8);
  std::memcpy(values, launch.values.data(), launch.values.size());
  say.set_bytes(encoder, values, bytes, index);
}

void MetalQueue::launch(const gpu::Launch& launch) {
  check_not_forked();
  auto& pipeline = static_cast<MetalPipeline&>(*launch.pipeline);
  const std::string& name = pipeline.source().name;
  if (launch.operands.size() > kMostOperands)
    throw Error(cat("gpu: the kernel ", name, " has ", launch.operands.size(), " operands; at most ", kMostOperands,
                    " can be bound"));
  if (launch.values.size() > 4000) throw Error(cat("gpu: the kernel ", name, " has too many values"));
  if (launch.threads.count() > pipeline.most_threads())
    throw Error(cat("gpu: the kernel ", name, " runs with at most ", pipeline.most_threads(), " threads a group, got ",
                    launch.threads.count()));
  each_buffer(launch, [&](Buffer& buffer, bool) {
    if (!buffer.block().native)
      throw Error(cat("gpu: an operand of the kernel ", name, " is not in memory of the gpu"));
  });
  if (launch.groups.count() == 0 || launch.threads.count() == 0) return;

  Pool pool;
  std::vector<Ref<Buffer>> kept;
  Lock lock(mutex_);
  prune(lock, kept);
  Commands& commands = open(lock, kept);
  if (conflicts(launch, commands.number)) messages().barrier(commands.encoder.get(), kScopeBuffers);
  messages().set_pipeline(commands.encoder.get(), pipeline.state());
  bind(commands, launch);
  make_resident(commands, launch);
  Size threads{launch.threads.x, launch.threads.y, launch.threads.z};
  if (launch.grid.count())
    messages().dispatch_threads(commands.encoder.get(), {launch.grid.x, launch.grid.y, launch.grid.z}, threads);
  else
    messages().dispatch_groups(commands.encoder.get(), {launch.groups.x, launch.groups.y, launch.groups.z}, threads);
  commands.add_kernel(&pipeline);
  if (std::find(blamed_.begin(), blamed_.end(), open_) == blamed_.end()) blamed_.push_back(open_);
  if (++commands.launches >= kMostLaunches || commands.bytes >= kMostBytes) commit(lock);
}

Ref<Event> MetalQueue::record() {
  if (forked()) return nullptr;  // nothing is under way here
  Pool pool;
  std::vector<Ref<Buffer>> kept;
  Lock lock(mutex_);
  prune(lock, kept);
  if (under_way_.size() <= kEnoughUnderWay) commit(lock);
  std::vector<Ref<Commands>> blamed = std::move(blamed_);
  blamed_.clear();
  std::erase_if(blamed, [](const Ref<Commands>& c) { return c->done() && !c->failure(); });
  if (under_way_.empty() && blamed.empty()) return nullptr;
  return Ref<Event>(new Completion(*this, numbers_, std::move(blamed)));
}

void MetalQueue::after(const Ref<Event>& event) {
  if (forked()) return;  // what is launched then says so
  std::vector<Ref<Commands>> blamed = static_cast<Completion&>(*event).blamed();
  if (blamed.empty()) return;
  Lock lock(mutex_);
  for (auto& commands : blamed)
    if (std::find(blamed_.begin(), blamed_.end(), commands) == blamed_.end()) blamed_.push_back(std::move(commands));
}

void MetalQueue::wait_for_command_buffer(uint64_t number) {
  if (number == 0) return;
  wait_until(number);
  Pool pool;
  std::vector<Ref<Buffer>> kept;
  Lock lock(mutex_);
  prune(lock, kept);
}

void MetalQueue::wait_until(uint64_t number) {
  check_not_forked();
  Pool pool;
  std::vector<Ref<Commands>> awaited;
  {
    Lock lock(mutex_);
    if (open_ && open_->number <= number) commit(lock);
    for (const auto& commands : under_way_)
      if (commands->number <= number) awaited.push_back(commands);
  }
  for (const auto& commands : awaited) commands->wait();
}

void MetalQueue::drain() {
  uint64_t last;
  {
    Lock lock(mutex_);
    last = numbers_;
  }
  wait_until(last);
}

void MetalQueue::finish() {
  std::vector<Ref<Commands>> committed;
  {
    Lock lock(mutex_);
    for (const auto& commands : under_way_)
      if (commands->committed) committed.push_back(commands);
  }
  for (const auto& commands : committed) commands->wait();
}

}  // namespace funcnn::metal
