// MTLEvent, MTLSharedEvent, MTLFence.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "../objc/object.h"

namespace software_metal {

class Event final : public Object {
 public:
  explicit Event(bool shared);
  void signal(uint64_t value);
  void wait(uint64_t value);
  uint64_t value() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t value_ = 0;
};

struct Fence final : Object {
  Fence();
};

}  // namespace software_metal
