#include "ops/cross_entropy.h"

#include "ops/annotate.h"
#include "ops/create.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/views.h"

namespace funcnn {

CrossEntropy cross_entropy(const Array& logits, const Array& targets, int64_t axis) {
  Dtype dtype = logits.dtype();
  Array zero = constant(0, dtype);
  Shape along(logits.ndim(), 1);
  along[size_t(axis)] = logits.dim(int(axis));
  CrossEntropy terms;
  terms.shifted = subtract(logits, stop_gradient(max(logits, {axis}, true)));
  Array classes = arange(Integer(0), Integer(along[size_t(axis)]), Integer(1), targets.dtype());
  terms.chosen = equal(reshape(classes, along), targets);
  // The loss is log(1 + rest / exp(score)), which stays exact where all other classes together have next to nothing.
  Array rest = sum(where(terms.chosen, zero, exp(terms.shifted)), {axis}, true);
  Array score = sum(where(terms.chosen, terms.shifted, zero), {axis}, true);
  terms.normaliser = log(add(rest, exp(score)));
  Array near = greater(score, constant(-10, dtype));
  Array ratio = multiply(rest, exp(negative(where(near, score, zero))));
  terms.loss = where(near, unary(Opcode::log1p, ratio), subtract(terms.normaliser, score));
  return terms;
}

}  // namespace funcnn
