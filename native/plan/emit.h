// Fused groups as kernel programs.
#pragma once

#include <vector>

#include "plan/fuse.h"

namespace funcnn {

struct Emitted {
  KernelProgram program;
  std::vector<int> reads;   // values whose memory the program loads: its first operands
  std::vector<int> writes;  // values it stores: its further operands
};

Emitted emit(const Ir& ir, const Partition& partition, const Unit& unit);

// Whether the memory of operand `read` may become that of operand `write`: every element is read before its place is
// overwritten, and only there.
bool can_share(const KernelProgram& program, int read, int write);

}  // namespace funcnn
