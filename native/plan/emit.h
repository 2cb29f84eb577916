// Fused units as kernel programs.
#pragma once

#include <utility>
#include <vector>

#include "plan/fuse.h"

namespace funcnn {

// Which operands of a program can lie in one place. Looks at the program when first asked, then answers at once.
class Sharing {
 public:
  // Whether the memory of operand `read` may become that of operand `write`: every element is read before its place is
  // overwritten, and only there. The program is the same each time.
  bool possible(const KernelProgram& program, int read, int write) const;
  // Whether the program reads each element of operand `read` where it computes that element, and nowhere else.
  bool in_order(const KernelProgram& program, int read) const;

 private:
  void look(const KernelProgram& program) const;

  struct Place {
    bool seen = false;
    bool fits = false;  // walked element by element, alike by all
    int at = -1;        // reads: the last instruction that computes with it; writes: the one that makes it
    Shape shape;
    Strides strides;
    size_t item = 0;
  };
  mutable std::vector<Place> reads_, writes_;  // by operand
};

struct Emitted {
  KernelProgram program;
  Sharing sharing;
  std::vector<int> reads;   // values whose memory the program loads: its first operands
  std::vector<int> writes;  // values it stores: its further operands
};

// Emits the fused units of a partition, one after another.
class Emission {
 public:
  Emission(const Ir& ir, const Partition& partition);
  Emitted emit(const Unit& unit);

 private:
  class Emitter;
  struct Read {
    int unit = -1;
    int operand = 0;
    SmallVector<int, 2> loads;
  };
  const Ir& ir_;
  const Partition& partition_;
  // By value: the unit that met it last, and the instruction that makes it there, or what loads it.
  std::vector<std::pair<int, int>> made_;
  std::vector<Read> reads_;
};

}  // namespace funcnn
