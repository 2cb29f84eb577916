// The cross entropy of class indices, as exact as the logits allow and without their softmax in memory.
#pragma once

#include "graph/array.h"

namespace funcnn {

// What the loss consists of; the axis of the classes has size 1 in all but the first two.
struct CrossEntropy {
  Array shifted;     // the logits less their maximum
  Array chosen;      // where the class is the target
  Array normaliser;  // the logarithm of the sum of exp(shifted)
  Array loss;
};

// Of real logits, and targets of their rank with size 1 along the axis of the classes.
CrossEntropy cross_entropy(const Array& logits, const Array& targets, int64_t axis);

}  // namespace funcnn
