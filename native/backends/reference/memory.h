// Memory that the host cannot touch, and a queue that runs as late as it can.
#pragma once

#include <deque>
#include <functional>
#include <mutex>

#include "base/memory.h"
#include "plan/measured.h"

namespace funcnn::reference {

// Commands wait until somebody needs what they give, or until they are many.
class LateQueue final : public MeasuredQueue {
 public:
  void submit(std::function<void()> command);
  Ref<Event> record() override;
  void after(const Ref<Event>& event) override;
  Ref<QueueTime> start_timing() override;
  void stop_timing(QueueTime& time) override;
  // Run everything submitted so far.
  void drain();

 private:
  class Completion;
  class Stretch;
  void run_all();

  std::recursive_mutex mutex_;
  std::deque<std::function<void()>> commands_;
  // What went wrong since the last record; the work up to the next is skipped.
  std::exception_ptr failure_;
};

// Blocks have no address on the host side: a block's native name leads to its bytes only through `bytes_of`.
class HiddenMemory final : public DeviceMemory {
 public:
  explicit HiddenMemory(LateQueue& queue) : DeviceMemory({DeviceKind::reference, 0}), queue_(&queue) {}
  static std::byte* bytes_of(const Block& block);
  void download(const Block& from, size_t offset, size_t bytes, void* to) override;
  void upload(const void* from, size_t bytes, const Block& to, size_t offset) override;

 protected:
  Block allocate(size_t capacity) override;
  void release(Block block, size_t capacity) override;

 private:
  LateQueue* queue_;
};

}  // namespace funcnn::reference
