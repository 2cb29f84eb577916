#include "backends/cuda/stream.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "backends/cuda/setting.h"
#include "base/error.h"

namespace funcnn::cuda {

class Stream::Moment final : public Event {
 public:
  Moment(Stream& stream, EventHandle event) : stream_(stream), event_(event) {}
  ~Moment() override { stream_.give_event(event_); }
  void wait() override {
    if (complete_.load(std::memory_order_acquire)) return;
    InContext here(stream_.context_);
    if (Status status = driver().wait_for_event(event_); status != Status::success) stream_.fail(status);
    complete_.store(true, std::memory_order_release);
  }
  Stream& stream() const { return stream_; }
  EventHandle event() const { return event_; }

 private:
  Stream& stream_;
  EventHandle event_;
  std::atomic<bool> complete_{false};
};

Stream::Stream(Context context) : context_(context) {
  InContext here(context_);
  check(driver().create_stream(&handle_, kStreamApart), "a stream cannot be made");
}

Ref<Event> Stream::record() {
  InContext here(context_);
  std::unique_lock lock(mutex_);
  if (last_ || count_ == 0) return last_;
  lock.unlock();
  EventHandle event = take_event();
  if (Status status = driver().record_event(event, handle_); status != Status::success) {
    give_event(event);
    fail(status);
  }
  Ref<Event> moment(new Moment(*this, event)), before;
  lock.lock();
  before = std::exchange(last_, moment);
  lock.unlock();  // an event that nobody holds goes back to the stream, which locks again
  return moment;
}

void Stream::after(const Ref<Event>& event) {
  auto* moment = dynamic_cast<Moment*>(event.get());
  if (!moment) {
    event->wait();
  } else if (&moment->stream() != this) {
    InContext here(context_);
    check(driver().stream_waits(handle_, moment->event(), 0), "one GPU cannot wait for another");
  }
}

void Stream::started(Status status, const std::string& name) {
  Ref<Event> before;
  {
    std::lock_guard lock(mutex_);
    names_[count_++ % kRemembered] = &name;
    before = std::exchange(last_, nullptr);
  }
  before = nullptr;
  if (status == Status::launch_out_of_resources)
    throw Error(
        cat("CUDA: ", name, " takes more registers or memory than a group of its threads may: ", words_of(status)));
  if (status == Status::success && setting_has("blocking")) status = driver().synchronize(handle_);
  if (status != Status::success) fail(status);
}

void Stream::wait() {
  InContext here(context_);
  if (Status status = driver().synchronize(handle_); status != Status::success) fail(status);
  std::lock_guard lock(mutex_);
  names_.fill(nullptr);
}

void Stream::fail(Status status) const {
  if (status == Status::out_of_memory) check(status, "the GPU has no memory left");
  std::string names;
  {
    std::lock_guard lock(mutex_);
    for (size_t i = count_ - std::min(count_, kRemembered); i < count_; ++i)
      if (const std::string* name = names_[i % kRemembered]) names += (names.empty() ? "" : ", ") + *name;
  }
  throw Error(cat("CUDA: the GPU stopped with ", words_of(status), " after ", names.empty() ? "a copy" : names,
                  "; it can be used again in a new process",
                  setting_has("blocking") ? "" : " (FUNCNN_CUDA=blocking finds the kernel that fails)"));
}

EventHandle Stream::take_event() {
  {
    std::lock_guard lock(mutex_);
    if (!events_.empty()) {
      EventHandle event = events_.back();
      events_.pop_back();
      return event;
    }
  }
  EventHandle event = nullptr;
  check(driver().create_event(&event, kEventWithoutTiming), "an event cannot be made");
  return event;
}

void Stream::give_event(EventHandle event) {
  std::lock_guard lock(mutex_);
  events_.push_back(event);
}

}  // namespace funcnn::cuda
