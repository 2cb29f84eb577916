// The back end that Metal and CUDA share.
#pragma once

#include "backends/gpu/machine.h"
#include "plan/backend.h"

namespace funcnn::gpu {

// Registers the machine as `fn.gpu` (its device says which of several). The machine lives on.
void register_machine(Machine& machine);

// The machine of a device that register_machine knows; null: none.
Machine* machine_of(Device device);

}  // namespace funcnn::gpu
