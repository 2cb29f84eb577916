// What kernels move and do, and how to print it.
#pragma once

#include <string>

#include "plan/backend.h"

namespace funcnn {

class Recorder;

Effort effort_of(const KernelProgram& program);
// What a device reaches (`MeasuredBackend`), while nothing else is evaluated; zeros: it cannot be measured.
Effort measure_ceilings(Device device);
// Wait for what a profile is still to see: evaluations that were asked for meanwhile, and the times of queues.
void settle(Recorder& recorder);
// "1.5 M"
std::string amount(double x);

}  // namespace funcnn
