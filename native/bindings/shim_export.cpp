// Functions written to files and read again, and pictures of graphs, for funcnn.compat.
#include <sstream>

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "base/error.h"
#include "base/quoted.h"
#include "bindings/gil.h"
#include "bindings/shim.h"
#include "bindings/trace.h"
#include "bindings/transforms.h"
#include "plan/eval.h"
#include "transforms/written.h"

namespace funcnn {
namespace {

std::vector<Argument> arguments_of_avals(const std::vector<Aval>& avals) {
  std::vector<Argument> arguments;
  for (const Aval& a : avals) arguments.push_back({a, false, true});
  return arguments;
}

// (inputs, nodes, outputs) of numbers, texts, shapes and dtypes, and the constants. A node: (name, parameters, inputs,
// outputs, graphs).
nb::object contents_of(const WrittenGraph& graph) {
  auto aval = [](const Aval& a) { return nb::make_tuple(shape_tuple(a.shape), std::string(dtype_name(a.dtype))); };
  nb::list inputs, nodes, constants;
  for (const Aval& a : graph.inputs) inputs.append(aval(a));
  for (const WrittenNode& n : graph.nodes) {
    nb::list outputs, graphs;
    for (const Aval& a : n.outputs) outputs.append(aval(a));
    for (const WrittenGraph& g : n.graphs) graphs.append(contents_of(g));
    nodes.append(nb::make_tuple(n.name, n.parameters, n.inputs, outputs, graphs));
  }
  for (const Array& x : graph.constants) constants.append(wrap_object(x));
  return nb::make_tuple(inputs, nodes, graph.outputs, constants);
}

// A function of arrays as a list of operations.
class WrittenFunction {
 public:
  explicit WrittenFunction(WrittenGraph graph) : graph_(std::move(graph)) {
    // Whether it is well-formed is found out at once.
    trace_arrays(arguments_of_avals(graph_.inputs), "an imported function",
                 [&](Span given) { return read_graph(graph_, given); });
  }

  nb::object operator()(nb::args arrays) const {
    Arrays given;
    for (nb::handle x : arrays) given.push_back(array_of(x.ptr()));
    bool same = given.size() == graph_.inputs.size();
    for (size_t i = 0; same && i < given.size(); ++i) same = given[i].aval() == graph_.inputs[i];
    if (!same) throw ValueError("import_function: the function cannot be called with arrays of these shapes");
    Arrays outputs = read_graph(graph_, given);
    nb::object result = nb::steal(PyTuple_New(Py_ssize_t(outputs.size())));
    for (size_t i = 0; i < outputs.size(); ++i)
      PyTuple_SetItem(result.ptr(), Py_ssize_t(i), wrap_mutable(outputs[i]).release().ptr());
    return result;
  }

  nb::object contents() const { return contents_of(graph_); }

 private:
  WrittenGraph graph_;
};

Aval aval_of(nb::handle pair) {
  return {shape_of(nb::object(pair[0]), "import_function"), dtype_of(nb::object(pair[1]))};
}

// The function of a list of arrays that returns one, traced for arrays like `examples`. `whole`: what it computes from
// constants alone is written too, since its shape may be that of an argument; otherwise it becomes a constant.
WrittenFunction write_function(nb::handle fun, nb::handle examples, bool whole) {
  std::vector<Aval> avals;
  const uint64_t start = next_node_sequence();
  for (nb::handle x : examples) avals.push_back(array_of(x.ptr()).aval());
  Traced traced = trace_arrays(arguments_of_avals(avals), "export_function", [&](Span given) {
    nb::list arrays;
    for (const Array& x : given) arrays.append(wrap_object(x));
    Arrays outputs;
    for (nb::handle x : call(fun, nb::make_tuple(arrays))) outputs.push_back(array_of(x.ptr()));
    return outputs;
  });
  if (traced.effects) throw ValueError("export_function: a function with effects cannot be written to a file");
  Arrays known;
  auto computed_within = [&](const Node& n) {
    const Node& owner = n.output >= 0 ? *n.inputs[0] : n;
    return whole && n.primitive && !n.available() && owner.sequence >= start;
  };
  for (const Array& x : traced.captured)
    if (!computed_within(*x.node())) known.push_back(x);
  for (Node* n : topological_order(traced.captured, computed_within))
    for (const NodeRef& input : n->inputs)
      if (!computed_within(*input)) known.emplace_back(input);
  {
    Unlocked release;
    eval(known);
  }
  if (whole) {
    Arrays all(traced.graph.inputs.begin(), traced.graph.inputs.begin() + ptrdiff_t(avals.size()));
    all.insert(all.end(), traced.captured.begin(), traced.captured.end());
    traced.graph = Graph{Arrays(all.begin(), all.begin() + ptrdiff_t(avals.size())), substitute(traced.graph, all)};
    traced.captured.clear();
  }
  WrittenGraph written = write_graph(traced.graph);
  // Inputs beyond the arguments are what it has captured: constants that keep their numbers.
  Arrays constants = traced.captured;
  constants.insert(constants.end(), written.constants.begin(), written.constants.end());
  written.constants = std::move(constants);
  written.inputs.resize(avals.size());
  return WrittenFunction(std::move(written));
}

// Of what contents_of gives, with dtypes in the place of their names.
WrittenGraph graph_of(nb::handle contents) {
  pytree::RecursionGuard guard;
  WrittenGraph graph;
  for (nb::handle pair : nb::object(contents[0])) graph.inputs.push_back(aval_of(pair));
  for (nb::handle n : nb::object(contents[1])) {
    WrittenNode made{nb::cast<std::string>(nb::object(n[0])),
                     nb::cast<std::string>(nb::object(n[1])),
                     nb::cast<std::vector<int>>(nb::object(n[2])),
                     {},
                     {}};
    for (nb::handle pair : nb::object(n[3])) made.outputs.push_back(aval_of(pair));
    for (nb::handle g : nb::object(n[4])) made.graphs.push_back(graph_of(g));
    graph.nodes.push_back(std::move(made));
  }
  graph.outputs = nb::cast<std::vector<int>>(nb::object(contents[2]));
  for (nb::handle x : nb::object(contents[3])) graph.constants.push_back(array_of(x.ptr()));
  return graph;
}

WrittenFunction read_function(nb::handle contents) { return WrittenFunction(graph_of(contents)); }

// ---- pictures

std::string letters(size_t number) {
  std::string name;
  for (++number; number > 0; number = (number - 1) / 26) name.insert(name.begin(), char('A' + (number - 1) % 26));
  return name;
}

// What arrays that are not computed yet depend on, in the DOT language: operations in boxes between their operands and
// results. Arrays have the names that they are given, the others letters.
std::string dot(nb::handle arrays, nb::dict names) {
  Arrays outputs;
  for (nb::handle x : arrays) outputs.push_back(array_of(x.ptr()));
  NodeMap<std::string> name;
  for (auto [key, value] : names) name[array_of(value.ptr()).node()] = nb::cast<std::string>(key);
  size_t next = 0;
  auto name_of = [&](const Node* node) -> const std::string& {
    std::string& found = name[node];
    if (found.empty()) found = letters(next++);
    return found;
  };
  auto is_data = [](const Node& n) { return !n.primitive || n.available(); };
  std::ostringstream out;
  out << "digraph {\n";
  NodeMap<char> sources, results;
  for (const Array& x : outputs) results[x.node()] = 1;
  auto order = topological_order(outputs, [](Node&) { return true; });
  size_t box = 0;
  NodeMap<std::string> boxes;
  auto result = [&](const Node* n) {
    std::string text = quoted(name_of(n));
    out << (results.contains(n) ? "{ rank=sink; " : "{ ") << text << "; }\n";
    return text;
  };
  for (const Node* n : order) {
    if (is_data(*n)) {
      out << "{ rank=source; " << quoted(name_of(n)) << "; }\n";
      continue;
    }
    if (n->output >= 0) {
      const std::string* from = boxes.find(n->inputs[0].get());
      std::string text = result(n);
      out << (from ? *from : quoted(name_of(n->inputs[0].get()))) << " -> " << text << "\n";
      continue;
    }
    std::string id = std::to_string(++box);
    boxes[n] = id;
    out << "{ " << id << " [label =" << quoted(std::string(n->primitive->name())) << ", shape=rectangle]; }\n";
    for (const NodeRef& input : n->inputs) out << quoted(name_of(input.get())) << " -> " << id << "\n";
    if (!n->multi()) {
      std::string text = result(n);
      out << id << " -> " << text << "\n";
    }
  }
  out << "}\n";
  return out.str();
}

}  // namespace

void bind_shim_export(nb::module_& m) {
  nb::class_<WrittenFunction>(m, "WrittenFunction", "A function of arrays as a list of operations.")
      .def("__call__", &WrittenFunction::operator())
      .def("contents", &WrittenFunction::contents);
  m.def("write_function", &write_function);
  m.def("read_function", &read_function);
  m.def("dot", &dot);
}

}  // namespace funcnn
