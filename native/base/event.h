// The moment when work that was handed to a device is complete.
#pragma once

#include "base/ref.h"

namespace funcnn {

class Event : public RefCounted {
 public:
  virtual ~Event() = default;
  // Return once the work is complete; rethrows the error it ended in.
  virtual void wait() = 0;
};

}  // namespace funcnn
