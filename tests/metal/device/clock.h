// The time. Not by <chrono>: of libstdc++ 13, clang 14 does not compile its calendar.
#pragma once

#include <time.h>

namespace software_metal {

// Seconds since some moment.
inline double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

}  // namespace software_metal
