// Fused groups that run on the result of an operation while it is still in cache.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "plan/emit.h"

namespace funcnn {

// A group joined to the operation whose result only it reads. The group's program has operand 0 for the result, which
// becomes `target` in the same memory, followed by `reads` and `writes`.
struct Epilogue {
  int group;  // unit
  KernelProgram program;
  int target;
  std::vector<int> reads, writes;
};

// For each unit the epilogue it takes, if any. `accepts` says which primitives can.
std::vector<std::optional<Epilogue>> attach_epilogues(const Ir& ir, const Partition& partition,
                                                      const std::vector<Emitted>& emitted,
                                                      const std::function<bool(const Primitive&)>& accepts);

}  // namespace funcnn
