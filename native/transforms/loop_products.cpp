#include "transforms/loop_products.h"

#include <algorithm>

#include "ops/dot.h"
#include "ops/views.h"
#include "transforms/vmap.h"

namespace funcnn {
namespace {

bool is_elementwise(const Node& node, Opcode op) {
  return node.primitive && !node.available() && node.primitive->kind() == Kind::elementwise &&
         node.primitive->opcode() == op;
}
bool is_view(const Node& node) { return node.primitive && !node.available() && node.primitive->kind() == Kind::view; }

// The product of a column and a row, as `dot` makes it where it has nothing to add up.
bool is_outer(const Node& node) {
  if (!is_elementwise(node, Opcode::multiply) || node.shape.size() < 2) return false;
  const Shape &a = node.inputs[0]->shape, &b = node.inputs[1]->shape;
  size_t rank = node.shape.size();
  if (a.size() != rank || b.size() != rank || !is_inexact(node.dtype)) return false;
  if (a[rank - 1] != 1 || b[rank - 2] != 1 || a[rank - 2] == 1 || b[rank - 1] == 1) return false;
  return std::equal(a.begin(), a.end() - 2, b.begin());
}

// What is to be known of an operand: the nearest thing behind its views that is, or the smallest.
Array source_of(const Array& operand, const NodeMap<Array>& known) {
  Array best = operand;
  for (Array at = operand;; at = Array(at.node()->inputs[0])) {
    if (known.contains(at.node())) return at;
    if (at.nbytes() <= best.nbytes()) best = at;
    if (!is_view(*at.node())) return best;
  }
}

}  // namespace

Arrays terms_of(const Array& sum) {
  Arrays pending{sum}, terms;
  while (!pending.empty()) {
    Array at = std::move(pending.back());
    pending.pop_back();
    const Node& node = *at.node();
    bool adds = is_elementwise(node, Opcode::add) && node.inputs[0]->shape == node.shape &&
                node.inputs[1]->shape == node.shape && node.inputs[0]->dtype == node.dtype &&
                node.inputs[1]->dtype == node.dtype;
    if (!adds) {
      terms.push_back(std::move(at));
      continue;
    }
    // In their order, the first on top.
    pending.emplace_back(node.inputs[1]);
    pending.emplace_back(node.inputs[0]);
  }
  return terms;
}

std::optional<StepProduct> step_product(const Array& term, const NodeMap<Array>& known) {
  Array product = term;
  while (is_view(*product.node())) product = Array(product.node()->inputs[0]);
  const Node& node = *product.node();
  bool is_dot = node.primitive && !node.available() && node.primitive->name() == "dot";
  if (!is_dot && !is_outer(node)) return std::nullopt;
  Array left(node.inputs[0]), right(node.inputs[1]);
  return StepProduct{term, product, {left, source_of(left, known)}, {right, source_of(right, known)}};
}

Array over_all_steps(const StepProduct& step, const Array& left, const Array& right, const Array& of, TraceId id) {
  int64_t steps = left.dim(0);
  auto stacked = [&](const StepProduct::Operand& operand, const Array& from) {
    return map_batch({&operand.from, 1}, {&operand.value, 1}, {&from, 1}, steps, id).outputs[0];
  };
  // Steps become part of the axis that is summed over.
  Array a = moveaxis(stacked(step.left, left), 0, -2), b = moveaxis(stacked(step.right, right), 0, -3);
  Shape wide = a.shape(), tall = b.shape();
  wide.pop_back();
  wide.back() *= a.dim(-1);
  tall.erase(tall.end() - 2);
  *(tall.end() - 2) = steps * b.dim(-2);
  a = reshape(a, std::move(wide));
  b = reshape(b, std::move(tall));
  if (step.term == step.product) return dot_like(a, b, of);
  Array sum = dot(a, b);
  return replace({&step.term, 1}, {&step.product, 1}, {&sum, 1})[0];
}

}  // namespace funcnn
