// One worker's threadgroup: its threads on fibers, its memory, where they meet.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dispatch.h"
#include "fiber.h"
#include "kernel_abi.h"

namespace software_metal {

// Memory that a kernel declared, or that the host gave a length.
struct SharedVariable {
  const void* id;
  std::string name;
  size_t offset, size;
};

class GroupRunner {
 public:
  static constexpr size_t kArenaBytes = 2 * kSharedBytes;  // with room after the last variable

  GroupRunner();
  ~GroupRunner();
  // The one that runs on this worker now; null: none.
  static GroupRunner* current();

  void run(Progress& progress, unsigned group);

  // Called by kernels, on the stack of the thread that is running.
  void* shared(const void* variable, const char* name, size_t size, size_t alignment);
  void barrier(unsigned memory, unsigned line);
  void simd_barrier(unsigned memory, unsigned line);
  Exchanged exchange(const void* value, unsigned size, unsigned operation, unsigned line);
  unsigned lane() const { return current_ % kLanes; }
  // The thread cannot go on; nor does the rest.
  [[noreturn]] void abandon(const std::string& what);
  // Something is wrong, but the thread can go on.
  void report(const std::string& what);

  // Whether a thread of the GPU is running, not the worker itself.
  bool on_fiber() const { return on_fiber_; }

  // For the checker.
  unsigned thread_index() const { return current_; }
  unsigned thread_count() const { return count_; }
  unsigned group_index() const { return group_index_; }
  const Group& group() const { return group_; }
  const Dispatch& dispatch() const { return progress_->dispatch; }
  bool on_stack(const void* address) const;
  // Whether it is of what the shim reads: values that lanes exchange, positions, constants of the kernel.
  bool owns(const void* address) const;
  // Where an address that is in no buffer is.
  std::string nearest(const unsigned char* address) const;
  const unsigned char* shared_memory() const { return memory_.get(); }
  const std::vector<SharedVariable>& variables() const { return variables_; }
  // By the threadgroup, or by the SIMD group that is running, for threadgroup memory or for that of the device.
  unsigned barriers_passed(bool shared) const { return passed_.of(shared); }
  unsigned simd_barriers_passed(bool shared) const { return simd_passed_[current_ / kLanes].of(shared); }

 private:
  enum class State : uint8_t { fresh, ready, at_barrier, at_simd_barrier, exchanging, done };
  struct Lane {
    State state;
    unsigned operation, line;  // of the rendezvous it waits at
    unsigned size;             // of the value it hands in
    Fiber* fiber;
    Thread thread;
    alignas(16) unsigned char value[kSlotBytes];
  };
  struct Gathered {
    unsigned mask;
    alignas(16) unsigned char slots[kLanes * kSlotBytes];
  };

  // Barriers passed, by the memory they were for.
  struct Passed {
    unsigned device = 0, shared = 0;
    unsigned of(bool is_shared) const { return is_shared ? shared : device; }
    void pass(unsigned memory);
  };

  static void fiber_body();
  void prepare(unsigned group);
  void run_loop();
  void run_on_fibers();
  void drop_fibers(unsigned lanes);
  void run_simd_group(unsigned simd_group);
  bool release_lanes(unsigned simd_group);
  bool release_barrier();
  int next_runnable();
  void start_or_resume(unsigned lane, void*& from);
  void wait();
  Fiber* take_fiber();
  std::vector<unsigned>& shuffled(unsigned count, std::vector<unsigned>& order);
  std::string where() const;

  Progress* progress_ = nullptr;
  bool looping_ = false, on_fiber_ = false;
  Group group_{};
  void* buffers_[kBindings];
  void* shared_[kBindings];
  unsigned group_index_ = 0, count_ = 0, current_ = 0;
  std::vector<Lane> lanes_;
  std::vector<Gathered> gathered_;
  Passed passed_;
  std::vector<Passed> simd_passed_;

  // Of the SIMD group that is running: in which order, how far.
  std::vector<unsigned> lane_order_, simd_order_;
  unsigned cursor_ = 0, first_lane_ = 0;

  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  void* worker_stack_ = nullptr;

  std::unique_ptr<unsigned char[]> memory_;
  size_t used_ = 0;
  std::vector<SharedVariable> variables_;
  uint32_t random_ = 1;
};

}  // namespace software_metal
