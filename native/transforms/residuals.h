// What the backward pass of a loop is given of each step of the forward pass.
#pragma once

#include "graph/graph.h"

namespace funcnn {

// The inputs of a derivative's graph, by what is known of them when it runs.
struct Given {
  Span carries;     // of the forward loop: known only where they are kept
  Span elements;    // at hand, as the loop was given them
  Span constants;   // at hand
  Span cotangents;  // what the derivative is linear in
};

// The fewest bytes of values that `outputs`, which depend on all of these, need of the forward pass: everything else of
// it follows from them, from elements and from constants by few cheap operations on elements, which cost less than to
// store and load what they give. Among the values are the elements that are needed, which take no further bytes.
Arrays residuals(Span outputs, const Given& given);

}  // namespace funcnn
