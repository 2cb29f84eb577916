// Fused units as kernel programs.
#pragma once

#include <vector>

#include "plan/fuse.h"

namespace funcnn {

// Which operands of a program can lie in one place. Looks at the program once, then answers at once.
class Sharing {
 public:
  Sharing() = default;
  explicit Sharing(const KernelProgram& program);
  // Whether the memory of operand `read` may become that of operand `write`: every element is read before its place is
  // overwritten, and only there.
  bool possible(int read, int write) const;

 private:
  struct Place {
    bool seen = false;
    bool fits = false;  // walked element by element, alike by all
    int at = -1;        // reads: the last instruction that computes with it; writes: the one that makes it
    Shape shape;
    Strides strides;
    size_t item = 0;
  };
  std::vector<Place> reads_, writes_;  // by operand
};

struct Emitted {
  KernelProgram program;
  Sharing sharing;
  std::vector<int> reads;   // values whose memory the program loads: its first operands
  std::vector<int> writes;  // values it stores: its further operands
};

Emitted emit(const Ir& ir, const Partition& partition, const Unit& unit);

}  // namespace funcnn
