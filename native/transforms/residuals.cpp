#include "transforms/residuals.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "transforms/minimum_cut.h"

namespace funcnn {
namespace {

// A chain of cheap operations as long as this takes about the time of storing and loading what it gives.
constexpr int kMostSteps = 8;

// In operations on elements; -1: too dear to do again, or there is nothing to do.
int steps_of(const Node& node) {
  if (node.multi() || node.output >= 0 || !node.primitive) return -1;
  const Primitive& p = *node.primitive;
  switch (p.kind()) {
    case Kind::view:
      return 0;
    case Kind::alias:
      return p.orders() || node.inputs.size() != 1 ? -1 : 0;
    case Kind::elementwise:
      switch (opcode_info(p.opcode()).cost) {
        case OpcodeCost::basic:
          return 1;
        case OpcodeCost::division:
          return 3;
        default:
          return -1;
      }
    default:
      return -1;
  }
}

// Whether the result jumps where the operand does not: an operand that is computed again may round differently and fall
// to the other side.
bool jumps(const Node& node, const Node& operand) {
  if (!is_inexact(operand.dtype) || !node.primitive || node.primitive->kind() != Kind::elementwise) return false;
  Opcode op = node.primitive->opcode();
  return !is_inexact(node.dtype) || op == Opcode::remainder || opcode_info(op).derivative == DerivativeKind::zero;
}

int64_t bytes_of(const Node& node) { return node.size() * int64_t(item_size(node.dtype)); }

class Search {
 public:
  Search(Span outputs, const Given& given) {
    for (const Array& x : given.constants) state_[x.node()] = constant;
    for (Span inputs : {given.carries, given.elements})
      for (const Array& x : inputs) {
        state_[x.node()] = forward;
        add(x.node());
      }
    for (const Array& x : given.elements) at_hand_[x.node()] = 1;
    for (const Array& x : given.cotangents) state_[x.node()] = backward;
    auto order = topological_order(outputs, [&](Node& n) { return n.abstract && !state_.contains(&n); });
    for (Node* node : order) {
      State state = constant;
      for (const NodeRef& input : node->inputs)
        if (input->abstract) state = std::max(state, *state_.find(input.get()));
      state_[node] = state;
      if (state == forward) add(node);
    }
    needed_.assign(values_.size(), 0);
    exact_.assign(values_.size(), 0);
    for (Node* node : order)
      for (const NodeRef& input : node->inputs) {
        const int* value = number_of(*input);
        if (!value) continue;
        if (*state_.find(node) == backward) needed_[size_t(*value)] = 1;
        if (jumps(*node, *input)) exact_[size_t(*value)] = 1;
      }
    for (const Array& x : outputs)
      if (const int* value = number_of(*x.node())) needed_[size_t(*value)] = 1;
  }

  Arrays run() {
    find_repeatable();
    // Each value is an edge as wide as the bytes of the value, from a node that is reached where it can be computed to
    // one that is reached where it is known.
    const int source = 0, sink = 1;
    MinimumCut cut(2 + 2 * int(values_.size()), source, sink);
    auto computable = [](size_t v) { return int(2 + 2 * v); };
    auto known = [](size_t v) { return int(3 + 2 * v); };
    for (size_t v = 0; v < values_.size(); ++v) {
      const Node& node = *values_[v];
      int64_t cost = at_hand_.contains(&node) ? 0 : worth_storing(v) ? bytes_of(node) : MinimumCut::kUnbounded;
      cut.add(computable(v), known(v), cost);
      if (needed_[v]) cut.add(known(v), sink, MinimumCut::kUnbounded);
      if (!repeatable_[v]) {
        cut.add(source, computable(v), MinimumCut::kUnbounded);
        continue;
      }
      for (const NodeRef& input : node.inputs)
        if (const int* from = number_of(*input)) cut.add(known(size_t(*from)), computable(v), MinimumCut::kUnbounded);
    }
    std::vector<char> after = cut.sides();
    Arrays found;
    for (size_t v = 0; v < values_.size(); ++v)
      if (!after[size_t(computable(v))] && after[size_t(known(v))]) found.emplace_back(NodeRef(values_[v]));
    return found;
  }

 private:
  enum State : char { constant, forward, backward };

  void add(Node* node) {
    bool fresh;
    int& number = numbers_.insert(node, fresh);
    if (!fresh) return;
    number = int(values_.size());
    values_.push_back(node);
  }
  const int* number_of(const Node& node) const { return numbers_.find(&node); }

  // A view that is no smaller than what it is of is not, nor is a node of several outputs, which are stored one by one.
  bool worth_storing(size_t v) const {
    const Node& node = *values_[v];
    if (!repeatable_[v] || steps_of(node) > 0) return !node.multi();
    return bytes_of(node) < bytes_of(*node.inputs[0]);
  }

  // Steps count from the nearest value further on that saves its own memory by being computed again.
  void find_repeatable() {
    std::vector<int> steps(values_.size(), 0);
    repeatable_.assign(values_.size(), 0);
    for (size_t v = values_.size(); v-- > 0;) {
      const Node& node = *values_[v];
      int own = node.inputs.empty() ? -1 : steps_of(node);
      int total = (needed_[v] ? 0 : steps[v]) + own;
      bool only_moved = own == 0;
      repeatable_[v] = own >= 0 && total <= kMostSteps && (only_moved || !exact_[v]);
      if (!repeatable_[v]) continue;
      for (const NodeRef& input : node.inputs)
        if (const int* from = number_of(*input)) {
          steps[size_t(*from)] = std::max(steps[size_t(*from)], total);
          // What a view of it must find unchanged, it must be itself.
          if (only_moved && exact_[v]) exact_[size_t(*from)] = 1;
        }
    }
  }

  NodeMap<State> state_;
  NodeMap<char> at_hand_;
  NodeMap<int> numbers_;
  std::vector<Node*> values_;  // of the forward pass, inputs before users
  std::vector<char> needed_;   // by the backward pass itself
  std::vector<char> exact_;    // with the very bits of the forward pass
  std::vector<char> repeatable_;
};

}  // namespace

Arrays residuals(Span outputs, const Given& given) { return Search(outputs, given).run(); }

}  // namespace funcnn
