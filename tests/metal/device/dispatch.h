// A grid of threads to run, and running it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kernel_abi.h"

namespace software_metal {

constexpr unsigned kBindings = 31;       // of buffers, and of threadgroup memory
constexpr size_t kSharedBytes = 32768;   // of a threadgroup
constexpr unsigned kMostThreads = 1024;  // of a threadgroup

class Module;

// Memory that a kernel sees under a number.
struct Bound {
  unsigned char* address = nullptr;
  size_t size = 0;        // from there to the end of the buffer
  size_t offset = 0;      // of the address in the buffer
  std::string name;       // for errors
  unsigned resource = 0;  // identifies the buffer to the checker; 0: bytes of the encoder's own

  const unsigned char* begin() const { return address - offset; }  // of the buffer
  const unsigned char* end() const { return address + size; }
};

// Memory that a kernel sees through addresses that it is handed: made so by useResource.
struct Resident {
  Bound bound;
  bool written = false;
};
using Residents = std::map<const unsigned char*, Resident>;  // by the begin of the buffer

struct Dispatch {
  const Kernel* kernel = nullptr;
  const Module* module = nullptr;  // that the kernel is of
  Extent groups, size, grid;
  std::array<Bound, kBindings> buffers;
  std::array<size_t, kBindings> shared{};  // lengths
  std::shared_ptr<const Residents> residents;
};

// What the workers of one dispatch share.
class Progress {
 public:
  explicit Progress(const Dispatch& dispatch);
  const Dispatch& dispatch;
  const unsigned total;  // threadgroups
  std::atomic<unsigned> next{0};
  std::atomic<bool> stopped{false};

  // A fault; the first few are kept.
  void fail(const std::string& what);
  std::string errors();
  // Which group is the n-th to run.
  unsigned place(unsigned n) const { return order_.empty() ? n : order_[n]; }

 private:
  std::mutex mutex_;
  std::vector<std::string> errors_;
  std::vector<unsigned> order_;
};

// Runs it to the end; empty, or what went wrong.
std::string run(const Dispatch& dispatch);

// Why Metal would refuse it; empty: it would not.
std::string refusal(const Dispatch& dispatch);

}  // namespace software_metal
