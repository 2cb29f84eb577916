// What the environment asks of the device: SOFTWARE_METAL_* (README.md).
#pragma once

#include <string>

namespace software_metal {

struct Options {
  bool check = false;    // races, bounds, uninitialised reads
  bool strict = false;   // SIMD-group operations need all lanes that have not returned
  bool poison = false;   // fill new memory with kPoison
  unsigned shuffle = 0;  // seed of the order of threads, groups and concurrent dispatches; 0: in order
  unsigned workers = 1;  // that run threadgroups
  std::string cache;     // folder of compiled kernels
  std::string compiler;  // clang
  bool keep = false;     // keep the C++ of kernels beside their libraries
  bool trace = false;    // tell of compilations and dispatches on stderr
};

// Read when first asked for.
const Options& options();

constexpr unsigned char kPoison = 0xc5;

}  // namespace software_metal
