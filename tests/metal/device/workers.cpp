#include "workers.h"

#include "options.h"

namespace software_metal {

Workers& Workers::instance() {
  static Workers* workers = new Workers();
  return *workers;
}

Workers::Workers() : helpers_(options().workers - 1) {
  for (unsigned i = 0; i < helpers_; ++i) std::thread([this] { help(); }).detach();
}

void Workers::run(const std::function<void()>& task) {
  std::unique_lock user(users_, std::try_to_lock);
  if (!user || !helpers_) return task();
  {
    std::lock_guard lock(mutex_);
    task_ = &task;
    running_ = helpers_;
    ++generation_;
  }
  begun_.notify_all();
  task();
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [&] { return running_ == 0; });
  task_ = nullptr;
}

void Workers::help() {
  unsigned seen = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    begun_.wait(lock, [&] { return generation_ != seen; });
    seen = generation_;
    const std::function<void()>* task = task_;
    lock.unlock();
    (*task)();
    lock.lock();
    if (--running_ == 0) ended_.notify_one();
  }
}

}  // namespace software_metal
