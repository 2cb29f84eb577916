#pragma once

#include "plan/backend.h"

namespace funcnn::cpu {

// Bytes copied and float32 operations done in a second by the threads that compute, measured now.
Effort measure_ceilings();

}  // namespace funcnn::cpu
