// Python objects that live in graphs and structures, shown to Python's garbage collector.
//
// The collector takes what it is shown for references of the object it asks. So an object shows only what it alone
// keeps alive: what others share may be alive on their account. Cycles through shared parts are not collected.
#pragma once

#include "bindings/bindings.h"
#include "bindings/transforms.h"
#include "graph/graph.h"

namespace funcnn {

// Python objects of a primitive.
struct PythonHeld : Held {
  virtual int visit(visitproc visit, void* arg) const = 0;
};

int visit_object(const nb::object& object, visitproc visit, void* arg);
int visit_flat(const Flat& flat, visitproc visit, void* arg);

// A graph and the values that go into it, all owned by the object that shows it.
struct Owned {
  const Graph& graph;
  Span captured = {};
};
// Whether a primitive in it, or in a graph below, holds Python objects: asked once, for `visit_graph` walks all of it.
bool holds_python(const Owned& owned);
int visit_graph(const Owned& owned, visitproc visit, void* arg);

}  // namespace funcnn
