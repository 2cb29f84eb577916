// The unevaluated part of a graph, listed and hashed: the input of the planner and the key of the plan cache.
#pragma once

#include <vector>

#include "base/hash.h"
#include "graph/graph.h"

namespace funcnn {

// What a plan may know of a leaf: everything but its value and address.
struct LeafClass {
  Shape shape;
  Dtype dtype = Dtype::float32;
  Strides strides;
  Device device;            // any: it has no memory yet, or is a scalar
  bool scalar = false;      // the value is inside the node: results cannot share its memory
  bool floating = false;    // may be moved to the device of whatever reads it
  bool disposable = false;  // nobody else needs it: its memory may be taken over
  // It is needed once more where a kernel raises, since the evaluation may be asked for again.
  bool asked_again = false;
  bool constant = false;  // the same in all runs of the plan, which are the steps of a loop
  int heir = -1;          // the result that alone may have its memory; -1: anything may
};

struct Capture {
  std::vector<Node*> order;   // to compute, inputs before users
  std::vector<int> inputs;    // of all of `order`, one after another: index in `order`, or -1 - index in `leaves`
  std::vector<Node*> leaves;  // computed already, or placeholders
  std::vector<LeafClass> classes;
  std::vector<Node*> results;  // nodes of `order` that receive a value: asked for, or held by somebody else
  std::vector<int> places;     // their indices in `order`
  std::vector<Node*> adopted;  // Output nodes that found their value computed already
  Device home;                 // where that is computed which may be computed anywhere
  bool ends_at_home = false;   // all results do
  Hash key;
};

// The nodes that `roots` need. Raises TracedValueError when one is abstract.
Capture capture_eval(Span roots);
// A closed graph; its inputs are the first leaves, in order, with the given classes. Its results end at `home`, if that
// is a device.
Capture capture_graph(const Graph& graph, std::vector<LeafClass> input_classes, Device home = {});

// Where each output of a captured graph comes from: the index of a result, or -1 - the index of a leaf.
std::vector<int> output_places(const Graph& graph, const Capture& capture);

LeafClass classify(const Node& leaf);

// Whether nobody else sees the memory of a value and it holds nothing but its elements, densely: it may be overwritten.
bool is_sole_owner(const Storage& storage, const Shape& shape);

}  // namespace funcnn
