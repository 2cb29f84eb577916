// Tests see what stands for the structure of a graph: the hashes by which plans and traces are found again.
#include <nanobind/stl/string.h>

#include <cstdio>
#include <string>
#include <vector>

#include "bindings/trace.h"
#include "graph/graph.h"
#include "graph/primitive.h"

namespace funcnn {
namespace {

std::string text(const Hash& hash) {
  char digits[33];
  std::snprintf(digits, sizeof(digits), "%016llx%016llx", static_cast<unsigned long long>(hash.high),
                static_cast<unsigned long long>(hash.low));
  return digits;
}

// (name, parameters, hash of the parameters) of every primitive in the graph and in those that it holds.
void list_primitives(const Graph& graph, nb::list& out) {
  for (const Node* node : topological_order(graph.outputs, [](Node&) { return true; })) {
    const Primitive* primitive = node->primitive.get();
    if (!primitive) continue;
    Hasher hasher;
    primitive->hash(hasher);
    std::string name(primitive->name());
    out.append(nb::make_tuple(name, primitive->parameters(), text(hasher.finish())));
    for (const Graph* held : primitive->graphs()) list_primitives(*held, out);
  }
}

}  // namespace

void bind_structure(nb::module_& m) {
  m.def(
      "_structure",
      [](nb::handle function, nb::args arguments) {
        std::vector<Aval> avals;
        for (const Array& a : arrays_of(arguments, "_structure")) avals.push_back(a.aval());
        Traced traced = trace_abstract(avals, "_structure", [&](Span placeholders) {
          return nb::object(function(*tuple_of(Arrays(placeholders.begin(), placeholders.end()))));
        });
        nb::list primitives;
        list_primitives(traced.graph, primitives);
        return nb::make_tuple(text(hash_graph(traced.graph)), primitives);
      },
      nb::sig("def _structure(function: object, *arguments: array) -> tuple[str, list[tuple[str, str, str]]]"));
}

}  // namespace funcnn
