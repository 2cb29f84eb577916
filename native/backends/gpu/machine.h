// What Metal and CUDA supply below the shared back end: traits, compiled kernels, launches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/memory.h"
#include "base/ref.h"
#include "plan/backend.h"

namespace funcnn::gpu {

enum class Language : uint8_t { metal, cuda };

// Fixed while the process runs.
struct Traits {
  Language language = Language::metal;
  std::string name;          // of the chip, for people
  std::string architecture;  // part of the key of compiled code: "apple8", "sm_90"
  bool float64 = false;
  bool unified = false;          // host and device share memory
  uint32_t most_threads = 1024;  // of a group
  size_t shared_bytes = 32768;   // that a group may declare
  uint32_t cores = 8;            // that run groups side by side
  size_t most_operands = 30;     // that a launch binds: of Metal's 31 buffers, one holds the values
  size_t memory_bytes = 0;
  size_t largest_buffer = 0;  // bytes; 0: not known
  size_t working_set = 0;     // bytes that it is best not to exceed; 0: not known
};

// What the compiler may take for granted of floating point: nothing (infinities, NaN and -0.0 survive), that order does
// not matter, or that there are no such values either.
enum class MathMode : uint8_t { safe, relaxed, fast };

// A whole translation unit of the machine's language, and the kernel in it that is meant.
struct Source {
  std::string name;
  std::string text;
  std::vector<uint16_t> ones;  // parameters of one element each, for which the launch may bring scalars of the host
  MathMode math = MathMode::safe;
  size_t prelude = 0;  // so much of the text is in front of what is the kernel's own
};

// A compiled kernel. Machines derive from it.
class Pipeline : public RefCounted {
 public:
  explicit Pipeline(Source source) : source_(std::move(source)) {}
  virtual ~Pipeline() = default;
  const Source& source() const { return source_; }

 private:
  Source source_;
};

struct Size3 {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t count() const { return uint64_t(x) * y * z; }
};

struct Launch {
  Pipeline* pipeline = nullptr;
  Size3 groups, threads;              // threads of each group
  Size3 grid{0, 0, 0};                // threads in all, of which the last groups have fewer (0: whole groups; Metal)
  size_t shared_bytes = 0;            // that the kernel takes beyond what it declares (CUDA)
  std::span<const Operand> operands;  // in the order of the kernel's parameters: those only read, then the others
  size_t read_only = 0;               // how many are only read
  std::span<const std::byte> values;  // of the fields of `p`; at most 4,000 bytes
  // What the kernel finds by addresses among the values: in this order, too.
  std::span<const Operand> reached = {};
  size_t reached_read_only = 0;
};

class Machine {
 public:
  virtual ~Machine() = default;
  virtual const Traits& traits() const = 0;
  virtual Device device() const = 0;
  virtual DeviceMemory& memory() = 0;
  virtual Queue& queue() = 0;
  // Compile, or find what was compiled before, in this process or an earlier one. Raises Error with the compiler's
  // words.
  virtual Ref<Pipeline> pipeline(const Source& source) = 0;
  // Put a launch on the queue. Work of one queue appears to run in order. Memory that is freed afterwards may be handed
  // out again at once: whatever uses it next comes later on the same queue.
  virtual void launch(const Launch& launch) = 0;
  // Where kernels see an operand in memory, for those that are handed addresses among their values.
  virtual uint64_t address(const Operand&) const { return 0; }
  // Whether it has addresses.
  virtual bool addresses() const { return false; }
  // Let go of what is kept for later: compiled kernels that nobody holds, memory beside the pool's.
  virtual void clear_cache() {}
};

}  // namespace funcnn::gpu
