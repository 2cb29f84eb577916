// Threads that help to run a dispatch.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace software_metal {

class Workers {
 public:
  // As many as the options say, the caller among them. They live as long as the process.
  static Workers& instance();

  // Calls it on every worker at once, and returns when all calls have. If they are busy for another queue, the caller
  // does it alone.
  void run(const std::function<void()>& task);

 private:
  Workers();
  void help();

  std::mutex users_;
  std::mutex mutex_;
  std::condition_variable begun_, ended_;
  const std::function<void()>* task_ = nullptr;
  unsigned generation_ = 0, running_ = 0, helpers_ = 0;
};

}  // namespace software_metal
