// Faults of the processor in a kernel, as errors of its command buffer.
#pragma once

namespace software_metal {

// Once for the process, before kernels run; once for each worker, which needs a stack for handlers.
void catch_faults();

}  // namespace software_metal
