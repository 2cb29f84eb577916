// Python numbers that are traced have no value yet, or one that was computed in a dtype of bounds that Python does not
// know. What they become is noted while tracing, and each call compares the numbers that it brings.
#pragma once

#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "graph/graph.h"

namespace funcnn {

// What a trace asks of the numbers among its arguments: integers that became elements of arrays, and which dtypes.
class NumberRanges {
 public:
  NumberRanges() = default;
  // `numbers`: its inputs are the arguments, then what is captured.
  NumberRanges(Graph numbers, Arrays captured, std::vector<Dtype> dtypes);

  bool empty() const { return dtypes_.empty(); }
  const Arrays& captured() const { return captured_; }
  // Refuse arguments that lead to integers which those dtypes, or their own, do not hold. What depends on arguments
  // without a value is noted for the trace around.
  void check(Span arguments) const;
  // The same for the turns of a loop whose carries, the first arguments, come out of `body` first; while `condition`
  // (null: there is none) holds. Turns are followed as long as the carries are known, within a bound.
  void check_turns(const Graph& body, Span arguments, size_t carries, int64_t turns, const Graph* condition) const;

 private:
  // Sums and products of small numbers, which most are, are settled without a graph.
  struct Step {
    enum class Kind : uint8_t { argument, constant, negative, add, subtract, multiply } kind;
    uint32_t a = 0, b = 0;  // earlier steps, or which argument
    double value = 0;
  };
  std::optional<Step> step_of(const Node& node, const NodeMap<uint32_t>& place) const;
  // `growth`: how far the first arguments go on from what they are.
  bool are_small(Span arguments, std::span<const double> growth = {}) const;

  Graph numbers_;
  Arrays captured_;
  std::vector<Dtype> dtypes_;     // by number
  std::vector<Step> steps_;       // empty: there are other operations
  std::vector<uint32_t> places_;  // by number: its step
};

// Integers `number` that stand for Python's became `dtype`: compared now, or noted where they have no value.
void check_number(const Array& number, Dtype dtype);

// Collects what is noted on this thread while it exists.
class NumbersMet {
 public:
  NumbersMet();
  ~NumbersMet();
  NumbersMet(const NumbersMet&) = delete;
  NumbersMet& operator=(const NumbersMet&) = delete;

  // Those that depend on `arguments`, the inputs of trace `id`; the others are handed on to the trace around.
  NumberRanges take(Span arguments, TraceId id, Ref<Placeholder::Trace> trace);
  void note(const Array& number, Dtype dtype);

 private:
  std::vector<std::pair<Array, Dtype>> noted_;
  NumbersMet* outer_;
};

}  // namespace funcnn
