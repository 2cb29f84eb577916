// Tests see what stands for the structure of a graph: the hashes by which plans and traces are found again.
#include <nanobind/stl/string.h>

#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

#include "bindings/trace.h"
#include "graph/graph.h"
#include "graph/listing.h"
#include "graph/primitive.h"

namespace funcnn {
namespace {

std::string text(const Hash& hash) {
  char digits[33];
  std::snprintf(digits, sizeof(digits), "%016llx%016llx", static_cast<unsigned long long>(hash.high),
                static_cast<unsigned long long>(hash.low));
  return digits;
}

// (name, what it says of itself, hash) of every primitive in the graph and in those that it holds. Shapes and dtypes of
// outputs count: a primitive leaves out of its hash what follows from them.
void list_primitives(Span outputs, nb::list& out) {
  for (const Node* node : topological_order(outputs, [](Node&) { return true; })) {
    const Primitive* primitive = node->primitive.get();
    if (!primitive) continue;
    std::ostringstream said;
    Hasher hasher;
    said << primitive->parameters();
    primitive->hash(hasher);
    auto add_output = [&](Dtype dtype, const Shape& shape) {
      said << " " << dtype << shape;
      hasher.add(int(dtype));
      hasher.add(shape);
    };
    if (node->multi())
      for (const Aval& aval : node->outputs->avals) add_output(aval.dtype, aval.shape);
    else
      add_output(node->dtype, node->shape);
    for (const Graph* held : primitive->graphs()) {
      list_primitives(held->outputs, out);
      // What others hold repeats what their inputs compute.
      if (primitive->kind() == Kind::control) said << "\n" << list_graph(*held);
    }
    out.append(nb::make_tuple(std::string(primitive->name()), said.str(), text(hasher.finish())));
  }
}

}  // namespace

void bind_structure(nb::module_& m) {
  m.def(
      "_structure",
      [](nb::handle function, nb::args arguments) {
        std::vector<Argument> given = arguments_of(arrays_of(arguments, "_structure"));
        Traced traced = trace_abstract(given, "_structure", [&](Span placeholders) {
          return nb::object(function(*tuple_of(Arrays(placeholders.begin(), placeholders.end()))));
        });
        nb::list primitives;
        list_primitives(traced.graph.outputs, primitives);
        list_primitives(traced.captured, primitives);
        return nb::make_tuple(text(hash_graph(traced.graph)), primitives);
      },
      nb::sig("def _structure(function: object, *arguments: array) -> tuple[str, list[tuple[str, str, str]]]"));
}

}  // namespace funcnn
