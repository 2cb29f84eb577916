// Fused units that run on the result of an operation while it is still in cache.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "plan/apart.h"
#include "plan/emit.h"

namespace funcnn {

// A unit joined to the operation whose result it reads. Operand 0 of its program is that result, which becomes
// `target` in the same memory, or is `target` where others read it too; `reads` and `writes` follow.
struct Epilogue {
  int unit;
  KernelProgram program;
  Sharing sharing;
  int target;
  std::vector<int> reads, writes;
};

// For each unit the epilogue it takes, if any. `accepts` says which operations can take which program; `refused` is
// told of the units that do not become the epilogue of a unit whose result they read.
std::vector<std::optional<Epilogue>> attach_epilogues(
    const Ir& ir, const Partition& partition, const std::vector<Emitted>& emitted,
    const std::function<bool(const Operation&, const KernelProgram&)>& accepts,
    const std::function<void(int operation, int reader, Apart)>& refused);

}  // namespace funcnn
