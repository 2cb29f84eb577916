#include "backends/cuda/stream.h"

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

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

class Stream::Stretch final : public QueueTime {
 public:
  Stretch(Stream& stream, EventHandle begin, EventHandle end) : stream_(stream), begin_(begin), end_(end) {}
  ~Stretch() override {
    std::lock_guard lock(stream_.mutex_);
    stream_.timing_events_.insert(stream_.timing_events_.end(), {begin_, end_});
  }
  std::optional<std::pair<int64_t, int64_t>> wait() override {
    InContext here(stream_.context_);
    float before = 0, length = 0;
    if (!stopped_ || driver().wait_for_event(end_) != Status::success ||
        driver().milliseconds(&before, stream_.origin_, begin_) != Status::success ||
        driver().milliseconds(&length, begin_, end_) != Status::success)
      return std::nullopt;
    return std::pair(stream_.origin_time_ + int64_t(double(before) * 1e6), int64_t(double(length) * 1e6));
  }

 private:
  friend class Stream;
  Stream& stream_;
  EventHandle begin_, end_;
  bool stopped_ = false;
};

namespace {

Status issue(Context context, StreamHandle stream, const Work::Item& item, std::byte* bytes) {
  if (item.is_product) {
    const ProductCall& p = item.product;
    p.product->run(context, *p.algorithm, p.operands, stream);
    return Status::success;
  }
  Work::Parameters parameters;
  Work::parameters(item, bytes, parameters);
  const gpu::Size3 &g = item.launch.groups, &t = item.launch.threads;
  return driver().launch(item.launch.function, g.x, g.y, g.z, t.x, t.y, t.z, item.launch.shared_bytes, stream,
                         parameters.data(), nullptr);
}

}  // namespace

Stream::Stream(Context context)
    : context_(context), blocking_(setting_has("blocking")), graphs_allowed_(!blocking_ && !setting_has("nographs")) {
  InContext here(context_);
  check(driver().create_stream(&handle_, kStreamApart), "a stream cannot be made");
  graphs_.emplace(context_, handle_, issue);
}

void Stream::multiply(const ProductCall& call, const std::string& name) {
  std::lock_guard lock(work_mutex_);
  if (work_.size() >= kMostWaiting) flush_locked();
  work_.add(call, name);
  if (blocking_) flush_locked();
}

void Stream::flush() {
  {
    std::lock_guard lock(work_mutex_);
    flush_locked();
  }
  do_what_waits();
}

void Stream::later(std::function<void()> act) {
  if (leaving()) return;
  std::lock_guard lock(later_mutex_);
  later_.push_back(std::move(act));
  anything_later_.store(true, std::memory_order_release);
}

void Stream::do_what_waits() noexcept {
  if (leaving() || !anything_later_.load(std::memory_order_acquire)) return;
  std::vector<std::function<void()>> mine;
  {
    std::lock_guard lock(later_mutex_);
    mine.swap(later_);
    anything_later_.store(false, std::memory_order_release);
  }
  InContext here(context_);
  {
    // What waits may need what goes.
    std::lock_guard lock(work_mutex_);
    try {
      flush_locked();
    } catch (...) {
      pending_ = std::current_exception();
    }
  }
  for (auto& act : mine) act();
}

void Stream::flush_locked() {
  if (pending_) std::rethrow_exception(std::exchange(pending_, nullptr));
  if (work_.empty()) return;
  // Whatever happens, none of it is tried again.
  struct Clear {
    Work& work;
    ~Clear() { work.clear(); }
  } clear{work_};
  InContext here(context_);
  Status status = Status::success;
  if (graphs_allowed_ && graphs_->launch(work_, status)) {
    for (size_t i = work_.size() - std::min(work_.size(), kRemembered); i < work_.size(); ++i)
      remember(*work_.items()[i].name);
    if (status != Status::success) fail(status);
    return;
  }
  for (const Work::Item& item : work_.items()) started(issue(context_, handle_, item, work_.data()), *item.name);
}

Ref<Event> Stream::record() {
  InContext here(context_);
  flush();
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
    flush();
    check(driver().stream_waits(handle_, moment->event(), 0), "one GPU cannot wait for another");
  }
}

EventHandle Stream::take_timing_event() {
  {
    std::lock_guard lock(mutex_);
    if (!timing_events_.empty()) {
      EventHandle event = timing_events_.back();
      timing_events_.pop_back();
      return event;
    }
  }
  EventHandle event = nullptr;
  check(driver().create_event(&event, kEventWithTiming), "an event cannot be made");
  return event;
}

void Stream::record_now(EventHandle event) {
  flush();
  if (Status status = driver().record_event(event, handle_); status != Status::success) fail(status);
}

Ref<QueueTime> Stream::start_timing() {
  InContext here(context_);
  if (!origin_) {
    EventHandle origin = take_timing_event();
    record_now(origin);
    if (Status status = driver().wait_for_event(origin); status != Status::success) fail(status);
    origin_time_ = steady_now();
    origin_ = origin;
  }
  auto time = make_ref<Stretch>(*this, take_timing_event(), take_timing_event());
  record_now(time->begin_);
  return time;
}

void Stream::stop_timing(QueueTime& time) {
  InContext here(context_);
  auto& stretch = static_cast<Stretch&>(time);
  record_now(stretch.end_);
  stretch.stopped_ = true;
}

void Stream::remember(const std::string& name) {
  Ref<Event> before;
  {
    std::lock_guard lock(mutex_);
    names_[count_++ % kRemembered] = &name;
    before = std::exchange(last_, nullptr);
  }
}

void Stream::started(Status status, const std::string& name) {
  remember(name);
  if (status == Status::launch_out_of_resources)
    throw Error(
        cat("CUDA: ", name, " takes more registers or memory than a group of its threads may: ", words_of(status)));
  if (status == Status::success && blocking_) status = driver().synchronize(handle_);
  if (status != Status::success) fail(status);
}

void Stream::wait() {
  InContext here(context_);
  flush();
  if (Status status = driver().synchronize(handle_); status != Status::success) fail(status);
}

void Stream::settle() {
  InContext here(context_);
  wait();
  std::lock_guard work_lock(work_mutex_);
  graphs_->clear();
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
