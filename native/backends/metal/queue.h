// The queue: launches are encoded into command buffers, which are committed when they are large enough or somebody
// waits for them.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <vector>

#include "backends/gpu/machine.h"
#include "backends/metal/memory.h"
#include "backends/metal/messages.h"
#include "plan/measured.h"

namespace funcnn::metal {

// Metal does not survive a fork: whether this process is the child of one that used it.
bool forked();
void check_not_forked();

// A command buffer and what is known of how it ended.
class Commands : public RefCounted {
 public:
  Commands(uint64_t number, Id buffer, Id encoder)
      : number(number), buffer(Owned::retained(buffer)), encoder(Owned::retained(encoder)) {}

  // Return once it is complete. It was committed.
  void wait();
  bool done();
  // What it ended in, once it is done; null: it went well.
  std::exception_ptr failure();

  const uint64_t number;
  // Under the queue's lock.
  Owned buffer, encoder;
  bool committed = false;
  size_t launches = 0, bytes = 0;
  std::vector<Ref<Buffer>> kept;  // memory that is shared: the host may write there once it is let go
  std::vector<Owned> resident;    // MTLBuffers that kernels find by address

  // Seconds; once it is done, where `timed` is set before it is committed.
  bool timed = false;
  double began() const { return began_; }
  double ended() const { return ended_; }

  // Called by Metal.
  void complete(Id buffer);
  // Under the queue's lock: what the message of an error names.
  void add_kernel(const gpu::Pipeline* pipeline);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::exception_ptr failure_;
  double began_ = 0, ended_ = 0;
  std::vector<Ref<const gpu::Pipeline>> kernels_;
};

class MetalQueue final : public MeasuredQueue {
 public:
  explicit MetalQueue(Id device);

  void launch(const gpu::Launch& launch);
  Ref<Event> record() override;
  void after(const Ref<Event>& event) override;
  // What is timed has command buffers of its own.
  Ref<QueueTime> start_timing() override;
  void stop_timing(QueueTime& time) override;
  // Return once the command buffer of this number, and those before, are complete, however they end.
  void wait_for_command_buffer(uint64_t number);
  // The same for everything so far. What command buffers kept stays until the next call of another method: this one
  // may be called while the pool that it would go to is locked.
  void drain();
  // The process ends: wait for what was committed. Sends no message, which the runtime may be past answering.
  void finish();

 private:
  class Completion;
  // The command buffers that are committed between two moments.
  struct Stretch final : QueueTime {
    std::vector<Ref<Commands>> commands;
    std::optional<std::pair<int64_t, int64_t>> wait() override;
  };
  using Lock = std::unique_lock<std::mutex>;

  Commands& open(Lock& lock, std::vector<Ref<Buffer>>& kept);
  void commit(Lock& lock);
  // Commit what has to run, and wait for it.
  void wait_until(uint64_t number);
  // Forget command buffers that are complete; adds what they kept, to be let go without the lock.
  void prune(Lock& lock, std::vector<Ref<Buffer>>& kept);
  void bind(Commands& to, const gpu::Launch& launch);
  void make_resident(Commands& to, const gpu::Launch& launch);
  // Whether the launch has to wait for those before; notes what it touches.
  bool conflicts(const gpu::Launch& launch, uint64_t number);

  Owned queue_;
  const bool checks_lengths_;
  std::mutex mutex_;
  Ref<Commands> open_;
  std::deque<Ref<Commands>> under_way_;  // committed or open, in order
  uint64_t numbers_ = 0;                 // of command buffers
  uint64_t barriers_ = 1;
  Ref<Stretch> timing_;
  std::vector<Ref<Commands>> blamed_;  // command buffers whose errors the next event carries
};

}  // namespace funcnn::metal
