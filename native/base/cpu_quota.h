// How much time of the processors the control groups of Linux leave to this process: containers are bounded so.
#pragma once

#include <string>

namespace funcnn {

// In cores, of which it may be a part; infinity where there is no bound. `root` is where /proc and /sys lie.
double cpu_quota(const std::string& root = {});

}  // namespace funcnn
