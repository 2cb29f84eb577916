// Which results of a step may lie in memory that it is the last to read.
#pragma once

#include <optional>

#include "plan/control.h"
#include "plan/emit.h"
#include "plan/epilogue.h"
#include "plan/schedule.h"

namespace funcnn {

struct PlannedStep {
  const Work* work;
  const Operation* operation;    // null: a fused unit
  const Emitted* emitted;        // of a fused unit
  const Epilogue* epilogue;      // of an operation; may be null
  const ControlKernel* control;  // of an operation that runs graphs; else null
  std::span<const int> times;    // by value: how often an operation reads of its elements
};

// Whether the memory of `work.reads[read]`, which dies in the step, may become that of its result `work.writes[index]`:
// every element is read before its place is written. Both have the same number of bytes.
bool may_take_over(const Ir& ir, const PlannedStep& step, int read, size_t index);

}  // namespace funcnn
