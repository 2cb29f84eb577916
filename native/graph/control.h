// What the executor knows of primitives that run graphs.
#pragma once

#include <cstdint>

#include "base/hash.h"
#include "base/small_vector.h"

namespace funcnn {

struct Control {
  // scan: inputs (carries, sequences, constants), one graph of (carries, elements, constants) -> (carries, elements).
  // cond: inputs (predicate, operands), two graphs of the operands, for true and for false.
  // while_loop: inputs (carries, constants), graphs of both: the condition, and the next carries.
  enum class Form : uint8_t { scan, cond, while_loop } form;
  int carries = 0, sequences = 0;
  int64_t length = 0;
  bool reverse = false;
};

// A primitive that computes, among its outputs, everything another one does on the same inputs.
struct Extension {
  Hash of;                      // of the other's parameters
  SmallVector<int, 4> outputs;  // which of the outputs are the other's
};

}  // namespace funcnn
