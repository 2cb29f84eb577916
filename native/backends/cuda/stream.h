// The queue of a GPU: one stream, in whose order everything happens.
#pragma once

#include <array>
#include <mutex>
#include <string>
#include <vector>

#include "backends/cuda/driver.h"
#include "plan/backend.h"

namespace funcnn::cuda {

class Stream final : public Queue {
 public:
  explicit Stream(Context context);

  Ref<Event> record() override;
  void after(const Ref<Event>& event) override;

  Context context() const { return context_; }
  StreamHandle handle() const { return handle_; }
  // Say that work called `name` was put on the stream, with what status. `name` lives until `wait` returns.
  void started(Status status, const std::string& name);
  // Return once everything on the stream is complete.
  void wait();

 private:
  class Moment;
  EventHandle take_event();
  void give_event(EventHandle event);
  [[noreturn]] void fail(Status status) const;

  const Context context_;
  StreamHandle handle_ = nullptr;
  mutable std::mutex mutex_;
  std::vector<EventHandle> events_;  // to be used again
  Ref<Event> last_;                  // what record gave, while nothing was started since
  // What was started last, for errors that show later.
  static constexpr size_t kRemembered = 8;
  std::array<const std::string*, kRemembered> names_{};
  size_t count_ = 0;
};

}  // namespace funcnn::cuda
