// MTLCommandQueue and MTLCommandBuffer: what encoders write down, and the thread that does it.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../device/dispatch.h"
#include "../objc/foundation.h"
#include "buffer.h"
#include "library.h"

namespace software_metal {

// A dispatch with all that it needs until it has run.
struct EncodedDispatch {
  Dispatch dispatch;
  Ref<Pipeline> pipeline;
  std::vector<Ref<Buffer>> buffers;
  std::vector<std::shared_ptr<std::vector<unsigned char>>> bytes;
};

// Work that may run at the same time: dispatches between two barriers, or one step of something else.
struct Interval {
  std::vector<EncodedDispatch> dispatches;
  std::function<std::string()> step;  // returns what went wrong
  std::vector<unsigned> barrier;      // resources that a barrier before it is for; empty: all
};

// A block that somebody handed in, copied.
class Block {
 public:
  explicit Block(const void* block);
  ~Block();
  Block(Block&& other) noexcept : copy_(std::exchange(other.copy_, nullptr)) {}
  Block(const Block&) = delete;
  void call(Object* argument) const;

 private:
  void* copy_;
};

class Queue;

class CommandBuffer final : public Object {
 public:
  enum Status : Unsigned { not_enqueued, enqueued, committed, scheduled, completed, failed };

  explicit CommandBuffer(Queue& queue);
  ~CommandBuffer() override;

  // For encoders, one at a time.
  void begin_encoder(const char* kind);
  void end_encoder();
  void add(Interval interval);
  void expect_open(const char* message) const;

  void commit();
  void wait_until_completed();
  void add_handler(bool on_completion, const void* block);
  Status status() const;
  Error* error() const;
  double began() const { return began_; }
  double ended() const { return ended_; }
  std::string label;

  void execute();  // by the queue

 private:
  std::string run_interval(Interval& interval);

  Ref<Queue> queue_;
  bool encoding_ = false;
  std::vector<Interval> intervals_;
  std::vector<Block> scheduled_handlers_, completed_handlers_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Status status_ = not_enqueued;
  bool handlers_called_ = false;
  Ref<Error> error_;
  double began_ = 0, ended_ = 0;
};

// Runs command buffers one after another, in the order of their commits.
class Queue final : public Object {
 public:
  Queue();
  ~Queue() override;
  void submit(CommandBuffer* commands);
  std::string label;

 private:
  struct Line;  // shared with the thread
  std::shared_ptr<Line> line_;
};

}  // namespace software_metal
