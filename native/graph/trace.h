// Which traces run, and what of them a value depends on.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "graph/array.h"
#include "graph/primitive.h"

namespace funcnn {

// While alive, one more trace is running on this thread. Values made from its inputs carry `id()`, which is above that
// of every trace before it on this thread.
class TraceScope {
 public:
  // What becomes of the traced nodes: `kept` as they are, or `rebuilt` over other inputs, so that nothing beside the
  // graph may refer to them.
  enum class Nodes : uint8_t { kept, rebuilt };
  explicit TraceScope(Nodes nodes = Nodes::rebuilt);
  ~TraceScope();
  TraceScope(const TraceScope&) = delete;
  TraceId id() const { return id_; }

 private:
  TraceId id_;
  Nodes nodes_;
};

// The trace that is running innermost on this thread; 0: none.
TraceId current_trace();
// Whether nodes made now on this thread may be rebuilt over other inputs.
bool rebuilds_nodes();
// The latest running trace, of any thread, that the value depends on; 0: none, the value is an ordinary one.
TraceId running_trace_of(const Array& x);
// Whether a value depends on a running trace, or has no value because it came out of one that ended.
inline bool is_traced(const Array& x) {
  return x.node()->abstract || (x.node()->trace != 0 && running_trace_of(x) != 0);
}

// Whether the node is sure to keep its inputs for now: it has no value, or a trace of this thread keeps its past.
bool keeps_still(const Node& node);

// The trace of a node with inputs of both.
TraceId join_traces(TraceId a, TraceId b);

// Whether a computed value must keep its inputs because a running trace may differentiate through it. If so it is
// noted, and can let go of them when that trace has ended.
bool keeps_past(Node& node);
// Held where computed values are cut off from their past, and where the past of a value is read that another thread may
// evaluate meanwhile.
std::mutex& past_mutex();
// Values noted by keeps_past for traces that ended on this thread, handed over once.
std::vector<NodeRef> take_kept();

// In the child of a fork: the traces of other threads will not end.
void forget_other_threads();

// A fresh node with the value of `x`, distinct from every other node: the input of a concrete trace.
Array trace_input(const Array& x, TraceId id);
// Another node with the value of `x`.
Array alias_of(const Array& x);
// `x` as a value that stands for a Python number (`weak`), or as one that does not.
Array with_weakness(Array x, bool weak);
// `x` as a value whose handles may be pointed at others, or may not.
Array with_rebindable(Array x, bool rebindable);

// Whether a value depends on a placeholder whose trace has ended.
bool leaked(const Array& x);
// Raise TracedValueError: `what` was asked of a value that has none; says whether a trace leaked, and otherwise what to
// do instead.
[[noreturn]] void throw_traced_value(const Node& node, std::string_view what,
                                     std::string_view advice =
                                         "choose with fn.where, fn.cond, fn.while_loop or "
                                         "fn.scan, or make the argument static");

}  // namespace funcnn
