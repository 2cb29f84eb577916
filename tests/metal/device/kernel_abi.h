// What a compiled kernel and the device know of each other. The shim includes this too: no system header, and sizes are
// those of every 64-bit host.
#pragma once

namespace software_metal {

struct Extent {
  unsigned x, y, z;
};

// A threadgroup that is being run, as its threads see it.
struct Group {
  void* const* buffers;  // by index of the binding
  void* const* shared;   // threadgroup memory whose length the host set, by index
  Extent position;       // of the group in the grid of groups
  Extent groups;         // how many there are
  Extent size;           // threads of this group: at the edges of a grid fewer than usual
  Extent usual_size;     // as dispatched
  Extent grid;           // threads of the whole grid
};

struct Thread {
  Extent position;  // in its group
  unsigned index;   // the same as one number
};

constexpr unsigned kLanes = 32;      // of a SIMD group
constexpr unsigned kSlotBytes = 64;  // that a lane can hand to the others at a time

// What the lanes of a SIMD group handed in at a rendezvous.
struct Exchanged {
  unsigned mask;               // lanes that took part
  unsigned lane;               // which of them is asking
  const unsigned char* slots;  // kSlotBytes a lane
};

struct Parameter {
  enum Kind : unsigned char { buffer, optional_buffer, shared, builtin };
  Kind kind;
  unsigned char index;  // of the binding; for a builtin, which one
  bool reference;       // T&: `size` bytes have to be there
  bool read_only;
  unsigned size;  // of what is pointed at
};

struct Kernel {
  const char* name;
  void (*run)(const Group&, const Thread& first, unsigned count);  // so many threads, one after the other
  const Parameter* parameters;
  unsigned parameter_count;
  unsigned most_threads;  // max_total_threads_per_threadgroup; 0: not said
};

}  // namespace software_metal

// What the device offers to kernels. `line` tells calls apart, and says where a fault is.
extern "C" {
__attribute__((convergent)) void* software_metal_shared(const void* variable, const char* name, unsigned long size,
                                                        unsigned long alignment);
__attribute__((convergent)) void software_metal_barrier(unsigned memory, unsigned line);
__attribute__((convergent)) void software_metal_simd_barrier(unsigned memory, unsigned line);
__attribute__((convergent)) software_metal::Exchanged software_metal_exchange(const void* value, unsigned size,
                                                                              unsigned operation, unsigned line);
unsigned software_metal_lane();
const void* software_metal_function_constant(unsigned index, unsigned size);  // null: not set
void software_metal_fault(const char* what, unsigned line);
void software_metal_atomic(const void* address, unsigned size, bool reads);  // tells the checker
}
