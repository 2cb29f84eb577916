// Python functions as closed graphs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bindings/array.h"
#include "bindings/effects.h"
#include "bindings/number_ranges.h"
#include "graph/graph.h"
#include "graph/trace.h"
#include "pytree/container.h"
#include "pytree/pytree.h"

namespace funcnn {

// The trace of a transformation of Python functions. When the outermost ends, values that were computed meanwhile let
// go of how they were made.
class FunctionTrace {
 public:
  explicit FunctionTrace(TraceScope::Nodes nodes = TraceScope::Nodes::rebuilt) : scope_(std::in_place, nodes) {}
  ~FunctionTrace();
  FunctionTrace(const FunctionTrace&) = delete;
  TraceId id() const { return scope_->id(); }

 private:
  std::optional<TraceScope> scope_;
};

// What is known of an argument while a function is traced.
struct Argument {
  Aval aval;
  bool weak = false;        // it stands for a Python number
  bool rebindable = false;  // see Node
  bool operator==(const Argument&) const = default;
};
Argument argument_of(const Array& x);
std::vector<Argument> arguments_of(Span arrays);

// A traced Python function: outputs of `graph` are the leaves of the result, its inputs the arguments followed by what
// the function captured. If it has effects, its last input is the token that they come after, its last output theirs.
struct Traced {
  Graph graph;
  Arrays captured;  // without the token
  pytree::TreeDef outputs;
  std::vector<bool> weak;        // which outputs stand for Python numbers
  std::vector<bool> rebindable;  // which outputs are
  bool effects = false;
  NumberRanges ranges;  // of numbers among the arguments
};

// What a graph computes of what its function did: that which depends on the arguments, or all of it, so that nothing
// of it is done where the graph does not run.
enum class Extent : uint8_t { dependent, whole };

// Call `call(placeholders)` with abstract arrays. `what` names the trace in errors.
template <class F>
Traced trace_abstract(const std::vector<Argument>& arguments, const std::string& what, F&& call,
                      Extent extent = Extent::dependent);
// The same for a `call` that gives arrays; `outputs` is left empty.
template <class F>
Traced trace_arrays(const std::vector<Argument>& arguments, const std::string& what, F&& call,
                    Extent extent = Extent::dependent);

// A number as an array that stands for it; false if `object` is none.
bool weak_array(nb::handle object, Array& out);
// The arrays that leaves stand for: arrays themselves, Python numbers and NumPy values. TypeError naming the path of
// any other leaf.
Arrays arrays_of_leaves(const pytree::Leaves& leaves, const pytree::TreeDef& tree, const char* name,
                        const char* advice);
Array array_of_leaf(const pytree::Leaves& leaves, size_t i, const pytree::TreeDef& tree, const char* name,
                    const char* advice);
// The tree of these arrays.
nb::object unflatten_arrays(const pytree::TreeDef& tree, Span arrays);
nb::object unflatten_arrays(const pytree::TreeDef& tree, Arrays&& arrays);

// ---- implementation

// The arrays that `result` consists of.
Arrays arrays_of_result(nb::handle result, const std::string& what, pytree::TreeDef& tree);
Traced finish_trace(Span placeholders, Arrays outputs, EffectScope& effects, NumbersMet& numbers, TraceId id,
                    const std::string& what, uint64_t since);

template <class F>
Traced trace_arrays(const std::vector<Argument>& arguments, const std::string& what, F&& call, Extent extent) {
  Ref<Placeholder::Trace> trace(new Placeholder::Trace(what));
  struct End {
    Placeholder::Trace& trace;
    ~End() { trace.ended = true; }
  } end{*trace};
  FunctionTrace scope;
  NumbersMet numbers;
  Arrays placeholders, given;
  placeholders.reserve(arguments.size());
  for (const Argument& a : arguments) {
    placeholders.push_back(make_placeholder(a.aval.shape, a.aval.dtype, trace, scope.id()));
    placeholders.back().node()->weak = a.weak;
    placeholders.back().node()->rebindable = a.rebindable;
    given.push_back(as_number(placeholders.back()));
  }
  EffectScope effects(trace, scope.id());
  uint64_t since = extent == Extent::whole ? next_node_sequence() : UINT64_MAX;
  Arrays outputs = call(Span(given));
  return finish_trace(placeholders, std::move(outputs), effects, numbers, scope.id(), what, since);
}

template <class F>
Traced trace_abstract(const std::vector<Argument>& arguments, const std::string& what, F&& call, Extent extent) {
  pytree::TreeDef tree;
  Traced traced =
      trace_arrays(arguments, what, [&](Span given) { return arrays_of_result(call(given), what, tree); }, extent);
  traced.outputs = std::move(tree);
  return traced;
}

}  // namespace funcnn
