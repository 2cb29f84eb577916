// Levels of nested traces, and what depends on whether any is running.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "graph/array.h"
#include "graph/primitive.h"

namespace funcnn {

// While alive, one more trace is running on this thread. Values made from its inputs carry `level()`.
class TraceScope {
 public:
  TraceScope();
  // The same with a level above `floor`: for traces inside a rule, whose operands may come from deeper traces that
  // ended.
  explicit TraceScope(uint8_t floor);
  ~TraceScope();
  TraceScope(const TraceScope&) = delete;
  uint8_t level() const { return level_; }

 private:
  uint8_t level_;
  int outer_;
};

// Whether a computed value must keep its inputs because a running trace may differentiate through it.
bool keeps_past(const Node& node);
// Held where computed values are cut off from their past, and where the past of a value is read that another thread may
// evaluate meanwhile.
std::mutex& past_mutex();
// Traces running on this thread.
int trace_depth();

// A fresh node with the value of `x`, distinct from every other node: the input of a concrete trace.
Array trace_input(const Array& x, uint8_t level);

// Raise TracedValueError: `what` was asked of a value that has none; says whether a trace leaked.
[[noreturn]] void throw_traced_value(const Node& node, std::string_view what);

}  // namespace funcnn
