// Sums of products over the steps of a loop: one product after the loop, of operands that the loop stacks.
#pragma once

#include <optional>

#include "graph/graph.h"

namespace funcnn {

// A term that every step adds to a sum: views of the product of matrices, or of columns and rows.
struct StepProduct {
  struct Operand {
    Array value;  // what is multiplied
    Array from;   // what that is a view of: what has to be known of each step
  };
  Array term, product;
  Operand left, right;
};

// The terms that `sum` adds up.
Arrays terms_of(const Array& sum);
// The operands of a term, if it is a product; `known` says what is stacked anyway.
std::optional<StepProduct> step_product(const Array& term, const NodeMap<Array>& known);

// The sum of a term over all steps, a cotangent of `of`. `left` and `right` are what the operands are views of, stacked
// along axis 0; `id` is the trace of the step's inputs.
Array over_all_steps(const StepProduct& step, const Array& left, const Array& right, const Array& of, TraceId id);

}  // namespace funcnn
