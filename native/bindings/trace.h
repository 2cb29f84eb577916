// Python functions as closed graphs.
#pragma once

#include <string>
#include <vector>

#include "bindings/array.h"
#include "graph/graph.h"
#include "graph/trace.h"
#include "pytree/container.h"
#include "pytree/pytree.h"

namespace funcnn {

// A traced Python function: outputs of `graph` are the leaves of the result, its inputs the arguments followed by what
// the function captured.
struct Traced {
  Graph graph;
  Arrays captured;
  pytree::TreeDef outputs;
};

// Call `call(placeholders)` with abstract arrays of the given avals. `what` names the trace in errors.
template <class F>
Traced trace_abstract(const std::vector<Aval>& avals, const std::string& what, F&& call);

// The arrays that leaves stand for: arrays themselves, Python numbers and NumPy values. TypeError naming the path of
// any other leaf.
Arrays arrays_of_leaves(const pytree::Leaves& leaves, const pytree::TreeDef& tree, const char* name,
                        const char* advice);
// The tree of these arrays.
nb::object unflatten_arrays(const pytree::TreeDef& tree, Span arrays);
// Whether a value depends on a running trace.
inline bool is_traced(const Array& a) { return a.node()->abstract || a.node()->level > 0; }

// ---- implementation

Traced finish_trace(Span placeholders, nb::handle result, uint8_t level, Ref<Placeholder::Trace> trace);

template <class F>
Traced trace_abstract(const std::vector<Aval>& avals, const std::string& what, F&& call) {
  Ref<Placeholder::Trace> trace(new Placeholder::Trace(what));
  struct End {
    Placeholder::Trace& trace;
    ~End() { trace.ended = true; }
  } end{*trace};
  TraceScope scope;
  Arrays placeholders;
  placeholders.reserve(avals.size());
  for (const Aval& aval : avals) placeholders.push_back(make_placeholder(aval.shape, aval.dtype, trace, scope.level()));
  nb::object result = call(Span(placeholders));
  return finish_trace(placeholders, result, scope.level(), trace);
}

}  // namespace funcnn
