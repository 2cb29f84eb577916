#pragma once

#include "plan/backend.h"

namespace funcnn::gpu {

// Bytes that the device copies and float32 operations that its threads do in a second, measured now by kernels of ours.
Effort measure_ceilings(Backend& backend);

}  // namespace funcnn::gpu
