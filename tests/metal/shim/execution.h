// Barriers, and the rendezvous of lanes that SIMD-group functions are made of.
#pragma once

namespace metal {

enum class mem_flags : uint {
  mem_none = 0,
  mem_device = 1,
  mem_threadgroup = 2,
  mem_texture = 4,
  mem_threadgroup_imageblock = 8,
  mem_object_data = 16
};
constexpr mem_flags operator|(mem_flags a, mem_flags b) { return mem_flags(uint(a) | uint(b)); }
constexpr mem_flags operator&(mem_flags a, mem_flags b) { return mem_flags(uint(a) & uint(b)); }

enum memory_order {
  memory_order_relaxed,
  memory_order_acquire,
  memory_order_release,
  memory_order_acq_rel,
  memory_order_seq_cst
};
enum thread_scope { thread_scope_thread, thread_scope_simdgroup, thread_scope_threadgroup, thread_scope_device };

__attribute__((convergent)) inline void threadgroup_barrier(mem_flags flags, uint line = __builtin_LINE()) {
  software_metal_barrier(uint(flags), line);
}
__attribute__((convergent)) inline void threadgroup_barrier(mem_flags flags, thread_scope,
                                                            uint line = __builtin_LINE()) {
  software_metal_barrier(uint(flags), line);
}
__attribute__((convergent)) inline void simdgroup_barrier(mem_flags flags, uint line = __builtin_LINE()) {
  software_metal_simd_barrier(uint(flags), line);
}
inline void atomic_thread_fence(mem_flags, memory_order, thread_scope = thread_scope_device) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

// The lanes' values of one call.
template <class T>
struct __lanes {
  static_assert(sizeof(T) <= software_metal::kSlotBytes);
  software_metal::Exchanged exchanged;

  bool has(uint lane) const { return lane < software_metal::kLanes && (exchanged.mask >> lane & 1); }
  uint lane() const { return exchanged.lane; }
  T operator[](uint lane) const {
    T value;
    __builtin_memcpy(&value, exchanged.slots + lane * software_metal::kSlotBytes, sizeof(T));
    return value;
  }
  // A lane that does not exist or does not take part: Metal says nothing about the value.
  T at(uint lane) const {
    if (has(lane)) return (*this)[lane];
    T value;
    __builtin_memset(&value, 0x7b, sizeof(T));
    return value;
  }
};

// `operation` tells calls on one line apart; every function has its own.
template <class T>
__attribute__((convergent, always_inline)) inline __lanes<T> __exchange(const T& value, uint operation, uint line) {
  return {software_metal_exchange(&value, sizeof(T), operation, line)};
}

}  // namespace metal

using metal::mem_flags;
