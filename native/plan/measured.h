// What devices say of themselves that measure.
#pragma once

#include "base/profile.h"
#include "plan/backend.h"

namespace funcnn {

// A queue whose device measures how long its work takes.
class MeasuredQueue : public Queue {
 public:
  // Measure what is encoded from here to `stop_timing`.
  virtual Ref<QueueTime> start_timing() = 0;
  virtual void stop_timing(QueueTime& time) = 0;
};

class MeasuredBackend : public Backend {
 public:
  // The bytes that large copies read and write in a second, and the float32 operations done in registers; measured now.
  virtual Effort measure_ceilings() = 0;
};

}  // namespace funcnn
